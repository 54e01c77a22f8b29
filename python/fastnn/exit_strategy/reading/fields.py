"""The profile's field table: every input of the exit tool as one row of data.

Validation, JSON Schema, the commented template (English and Chinese) and the docs page are derived
from these rows; nothing else in the package lists fields. Standard library only.
"""

from __future__ import annotations

from fastnn.exit_strategy.records import dataclass

__all__ = ["CHECKLISTS", "FIELDS", "FIELD_BY_PATH", "GROUPS", "Field"]


@dataclass(frozen=True, slots=True)
class Field:
    """One input: dotted path, kind, texts, range, and whether it must be given.

    kinds: text, date, country, currency, choice, integer, number, fraction (0..1), money, years
    (up to three yearly amounts, oldest first), score (0..1 or answers 1..5), level (score or
    word), checklist, answer (yes / no / unknown), market (score with optional date), table.
    """

    path: str
    kind: str
    en: str
    zh: str
    example: str = ""
    required: bool = False
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()


SECTORS = (
    "foundation_model",
    "ai_application",
    "ai_infra",
    "software",
    "consumer_internet",
    "fintech",
    "healthcare",
    "biotech",
    "hardware",
    "semiconductor",
    "robotics",
    "cleantech",
    "education",
    "media_games",
    "commerce",
    "other",
)
AI_ACT_CLASSES = (
    "not_ai",
    "minimal",
    "limited",
    "general_purpose",
    "general_purpose_systemic",
    "high_risk_annex_iii",
    "high_risk_annex_i",
)
LEVELS = ("none", "low", "medium", "high", "very_high")
VENUE_REGIONS = ("US", "HK", "CN", "UK", "EU", "SG", "CA")
BASES = ("enterprise", "equity")
METHODS = ("range", "multiples", "vc", "first_chicago", "dcf")

#: (checklist path) -> its items, in order; a weight of 1 each.
CHECKLISTS: dict[str, tuple[str, ...]] = {
    "controls.data_security": (
        "encryption", "masking", "access_control", "audit_log", "written_policy",
        "incident_response",
    ),
    "controls.explain_fair": (
        "model_documentation", "explanations_available", "bias_tests", "user_feedback",
        "outside_audit", "ethics_owner",
    ),
    "controls.ipo_readiness": (
        "audited_two_years", "audited_three_years", "internal_control", "independent_board",
        "audit_committee", "cfo_with_listing_experience", "forecast_within_ten_percent",
        "monthly_close_in_ten_days", "counsel_engaged", "underwriter_contacts",
        "clean_cap_table", "option_pool_documented", "litigation_review", "ip_chain_of_title",
        "data_rights_review", "tax_review", "related_party_review", "insurance_directors",
        "investor_relations_plan", "use_of_funds_plan",
    ),
}  # fmt: skip

#: Section order of the template: (prefix, English title, Chinese title).
GROUPS: tuple[tuple[str, str, str], ...] = (
    ("", "The company", "公司"),
    ("valuation", "What the company may be worth", "公司估值"),
    ("tech", "Technology (0 to 1, or five answers 1 to 5)", "技术（0 到 1，或五个 1–5 分的答案）"),
    (
        "founder",
        "Founders (0 to 1, or five answers 1 to 5)",
        "创始人（0 到 1，或五个 1–5 分的答案）",
    ),
    ("controls", "Checklists (yes / no / unknown)", "检查清单（yes / no / unknown）"),
    ("market", "Market today (0 to 1, each with its date)", "市场状况（0 到 1，附日期）"),
    ("listing", "Facts for a listing, when known", "上市相关数据（如已知）"),
    ("deal", "Limits on a sale or a transformation", "出售或转型的限制"),
    ("fx", "Exchange rates: units of the currency per US dollar", "汇率：每一美元合多少该货币"),
    ("cap_table", "Who owns what", "股权结构"),
    ("assumptions", "Deal assumptions; leave out for defaults", "交易假设；可省略，使用默认值"),
    ("uncertainty", "How sure each number is", "各数字的不确定性"),
)

_BIG = 1e15  # no company comes near, in any currency; larger is a slip of the keyboard

FIELDS: tuple[Field, ...] = (
    Field("name", "text", "company name", "公司名称", '"Acme AI"', True, high=120),
    Field("as_of", "date", "date of these figures", "数据日期", "2026-11-22", True),
    Field(
        "country",
        "country",
        "country of main operations, ISO 3166 two letters",
        "主要经营地，ISO 3166 两位代码",
        '"US"',
        True,
    ),
    Field(
        "venue_region",
        "choice",
        "only look at venues of this region",
        "只看该地区的交易所",
        '"US"',
        choices=VENUE_REGIONS,
    ),
    Field("sector", "choice", "sector", "行业", '"ai_application"', True, choices=SECTORS),
    Field(
        "currency",
        "currency",
        "currency of all amounts, ISO 4217",
        "所有金额的货币，ISO 4217",
        '"USD"',
        True,
    ),
    Field(
        "decimal",
        "choice",
        'decimal mark of numbers written as text; without it "1,500" is refused',
        '文本数字的小数点符号；未注明时 "1,500" 会被拒绝',
        '"."',
        choices=(".", ","),
    ),
    Field("founded", "date", "date of foundation", "成立日期", "2021-03-01"),
    Field(
        "revenue_ttm",
        "money",
        "revenue of the last 12 months",
        "近12个月收入",
        "12_000_000",
        True,
        0,
        _BIG,
    ),
    Field(
        "revenue_last_fy",
        "years",
        "revenue of the last three fiscal years, oldest first",
        "近三个财年收入，从最早到最近",
        "[2_000_000, 5_000_000, 9_000_000]",
        low=0,
        high=_BIG,
    ),
    Field(
        "growth_yoy",
        "number",
        "revenue growth, 0.5 = 50 %",
        "收入同比增速，0.5 表示 50 %",
        "0.55",
        True,
        -1,
        20,
    ),
    Field("gross_margin", "number", "gross margin", "毛利率", "0.7", low=-10, high=1),
    Field("ebitda_margin", "number", "EBITDA margin", "息税折旧前利润率", "-0.3", low=-10, high=1),
    Field(
        "pretax_income_fy",
        "years",
        "pre-tax income, three fiscal years, oldest first",
        "近三个财年税前利润",
        "[-2_000_000, -3_000_000, -3_500_000]",
        low=-_BIG,
        high=_BIG,
    ),
    Field(
        "net_income_fy",
        "years",
        "net income, three fiscal years, oldest first",
        "近三个财年净利润",
        "[-2_000_000, -3_000_000, -3_500_000]",
        low=-_BIG,
        high=_BIG,
    ),
    Field(
        "operating_cash_flow_fy",
        "years",
        "operating cash flow, three fiscal years, oldest first",
        "近三个财年经营现金流",
        "[-1_800_000, -2_500_000, -3_000_000]",
        low=-_BIG,
        high=_BIG,
    ),
    Field("total_assets", "money", "total assets", "总资产", "15_000_000", low=0, high=_BIG),
    Field(
        "stockholders_equity",
        "money",
        "stockholders' equity",
        "股东权益",
        "9_000_000",
        low=-_BIG,
        high=_BIG,
    ),
    Field(
        "rd_opex_fy",
        "years",
        "research and development cost, three fiscal years, oldest first",
        "近三个财年研发支出",
        "[1_500_000, 2_500_000, 4_000_000]",
        low=0,
        high=_BIG,
    ),
    Field(
        "opex_fy",
        "years",
        "operating cost, three fiscal years, oldest first",
        "近三个财年经营费用",
        "[4_000_000, 8_000_000, 12_500_000]",
        low=0,
        high=_BIG,
    ),
    Field(
        "audited_years", "integer", "years of audited accounts", "经审计的财年数", "2", True, 0, 10
    ),
    Field("cash", "money", "cash today", "现金", "8_000_000", True, 0, _BIG),
    Field(
        "monthly_burn",
        "money",
        "net cash spent a month; negative when the company earns cash",
        "每月净现金支出；盈利时为负",
        "400_000",
        True,
        -_BIG,
        _BIG,
    ),
    Field(
        "committed_funds",
        "money",
        "funds promised in writing, not yet received",
        "已承诺未到账资金",
        "0",
        low=0,
        high=_BIG,
    ),
    Field(
        "debt",
        "money",
        "debt to repay before shareholders",
        "先于股东偿还的债务",
        "0",
        low=0,
        high=_BIG,
    ),
    Field(
        "need_24m",
        "money",
        "capital needed over the next 24 months",
        "未来24个月资金需求",
        "20_000_000",
        True,
        0,
        _BIG,
    ),
    Field(
        "compute_cost_share",
        "fraction",
        "rented compute as a share of cost",
        "外部算力占成本比例",
        "0.35",
    ),
    Field(
        "top_customer_share",
        "fraction",
        "largest customer's share of revenue",
        "第一大客户占收入比例",
        "0.2",
    ),
    Field(
        "recurring_share",
        "fraction",
        "recurring revenue as a share of revenue",
        "经常性收入占比",
        "0.8",
    ),
    Field(
        "founder_share",
        "fraction",
        "founders' share of all shares, when no cap table is given",
        "创始人持股比例（未提供股权结构时）",
        "0.5",
    ),
    Field(
        "total_raised",
        "money",
        "all money raised so far",
        "累计融资额",
        "10_000_000",
        low=0,
        high=_BIG,
    ),
    Field(
        "funding_rounds",
        "table",
        "past rounds: date, type, amount",
        "历史融资：日期、类型、金额",
        '[{date = 2022-05-01, type = "angel", amount = 1_000_000}]',
    ),
    Field(
        "reg_exposure",
        "level",
        "regulatory exposure, a word or 0 to 1",
        "监管暴露，填词或 0 到 1",
        '"medium"',
        choices=LEVELS,
    ),
    Field(
        "ai_act_class",
        "choice",
        "class under the EU AI Act",
        "欧盟《人工智能法》类别",
        '"limited"',
        choices=AI_ACT_CLASSES,
    ),
    Field(
        "personal_records_held",
        "integer",
        "persons whose data the company holds",
        "持有的个人信息数量",
        "50_000",
        low=0,
        high=1e10,
    ),
    Field(
        "valuation.method",
        "choice",
        "how the value was found",
        "估值方法",
        '"range"',
        choices=METHODS,
    ),
    Field(
        "valuation.basis",
        "choice",
        "enterprise: the business without cash and debt, which come on top; "
        "equity: what all shares are worth, cash and debt in it (as after a round)",
        "enterprise：不含现金与债务的业务价值（现金与债务另计）；equity：全部股份的价值，已含现金与债务（如融资后估值）",
        '"enterprise"',
        choices=BASES,
    ),
    Field(
        "valuation.low",
        "money",
        "low value of the company",
        "估值下限",
        "40_000_000",
        low=0,
        high=_BIG,
    ),
    Field(
        "valuation.mid", "money", "most likely value", "最可能估值", "60_000_000", low=0, high=_BIG
    ),
    Field("valuation.high", "money", "high value", "估值上限", "90_000_000", low=0, high=_BIG),
    Field(
        "valuation.inputs",
        "table",
        "inputs of the method, see the docs",
        "估值方法的输入，见文档",
        "{metric = 12_000_000, low = 3.0, median = 5.0, high = 8.0}",
    ),
    Field(
        "tech.strength",
        "score",
        "technical strength against the best rival",
        "相对最强对手的技术实力",
        "0.6",
    ),
    Field(
        "tech.moat",
        "score",
        "exclusive data, patents, switching cost",
        "独有数据、专利与转换成本",
        "0.5",
    ),
    Field(
        "tech.team_depth",
        "score",
        "could the team go on without the founders?",
        "没有创始人团队能否继续？",
        "0.5",
    ),
    Field("founder.technical_vision", "score", "technical vision", "技术视野", "0.7"),
    Field("founder.business_acumen", "score", "business acumen", "商业嗅觉", "0.6"),
    Field("founder.leadership", "score", "leadership", "领导力", "0.6"),
    Field(
        "founder.intent_to_stay",
        "score",
        "wish to go on running the company",
        "继续经营的意愿",
        "0.5",
    ),
    Field(
        "founder.assessor",
        "text",
        'who gave these scores; "self" widens them by half',
        "评分人；填 self 时不确定性扩大一半",
        '"self"',
        high=120,
    ),
    Field("controls.data_security", "checklist", "data protection, six items", "数据安全，六项"),
    Field(
        "controls.explain_fair",
        "checklist",
        "explanation and fairness, six items",
        "可解释与公平，六项",
    ),
    Field(
        "controls.ipo_readiness",
        "checklist",
        "readiness for a listing, twenty items",
        "上市准备，二十项",
    ),
    Field("market.date", "date", "date of the market readings", "市场数据日期", "2026-11-01"),
    Field("market.ipo_window", "market", "how open the IPO window is", "上市窗口开放程度", "0.5"),
    Field(
        "market.ma_activity",
        "market",
        "how active buyers are in the sector",
        "行业并购活跃度",
        "0.6",
    ),
    Field(
        "market.sector_multiple_pct",
        "market",
        "today's multiple within its 10-year range",
        "当前估值倍数在十年区间中的位置",
        "0.5",
    ),
    Field("market.private_access", "market", "how easy private money is", "私募资金可得性", "0.5"),
    Field("market.competition", "market", "intensity of competition", "竞争强度", "0.6"),
    Field(
        "listing.market_cap",
        "money",
        "expected market value at listing",
        "预计上市市值",
        "60_000_000",
        low=0,
        high=_BIG,
    ),
    Field(
        "listing.offer_size",
        "money",
        "money raised in the offering",
        "发行规模",
        "15_000_000",
        low=0,
        high=_BIG,
    ),
    Field(
        "listing.public_float_pct",
        "fraction",
        "part of the shares in public hands",
        "公众持股比例",
        "0.25",
    ),
    Field(
        "listing.free_float_pct",
        "fraction",
        "part of the shares in public hands that may be traded from the first day",
        "首日可自由交易的公众持股比例",
        "0.1",
    ),
    Field(
        "listing.sophisticated_investors",
        "answer",
        "meaningful investment by sophisticated independent investors (HKEX 18C)",
        "资深独立投资者的重大投资（港交所 18C）",
        '"unknown"',
    ),
    Field(
        "listing.round_lot_holders",
        "integer",
        "holders of round lots",
        "整手股东数",
        "450",
        low=0,
        high=1e9,
    ),
    Field(
        "listing.public_shares",
        "integer",
        "shares in public hands",
        "公众持股数",
        "5_000_000",
        low=0,
        high=1e13,
    ),
    Field(
        "listing.share_price",
        "money",
        "expected price of one share",
        "预计每股价格",
        "10",
        low=0,
        high=_BIG,
    ),
    Field(
        "listing.rd_years",
        "integer",
        "years of research and development",
        "研发年数",
        "4",
        low=0,
        high=100,
    ),
    Field(
        "listing.milestone_approval",
        "answer",
        "state or milestone approval (STAR test 5)",
        "国家或里程碑批准（科创板标准五）",
        '"unknown"',
    ),
    Field(
        "listing.adviser_agreed",
        "answer",
        "an adviser of the market has agreed to bring the company (AIM, First North)",
        "市场认可的顾问已同意推荐公司（伦敦另类投资市场、纳斯达克北欧成长市场）",
        '"unknown"',
    ),
    Field(
        "listing.neeq_year",
        "answer",
        "on NEEQ for twelve months without a break (Beijing Stock Exchange)",
        "已在新三板连续挂牌满十二个月（北交所）",
        '"unknown"',
    ),
    Field(
        "deal.covenant_blocks_sale",
        "answer",
        "a debt covenant forbids a sale",
        "债务条款禁止出售",
        '"no"',
    ),
    Field(
        "deal.class_veto_against_sale",
        "answer",
        "a share class will veto a sale",
        "有股东类别将否决出售",
        '"no"',
    ),
    Field(
        "deal.foreign_buyer",
        "answer",
        "the likely buyer is foreign",
        "潜在买方为外国企业",
        '"unknown"',
    ),
    Field(
        "deal.transform_plan_funded",
        "answer",
        "a transformation plan has its money",
        "转型计划资金已落实",
        '"no"',
    ),
    Field(
        "deal.acquirer_stake",
        "fraction",
        "part of the company a buyer takes",
        "买方取得的股份比例",
        "1.0",
    ),
    Field(
        "deal.operations_in_china",
        "answer",
        "main operations lie in mainland China",
        "主要业务在中国内地",
        '"no"',
    ),
    Field(
        "fx",
        "table",
        "units of the currency per US dollar, and a date",
        "每一美元合多少该货币，及日期",
        "{HKD = 7.84, date = 2026-11-20}",
    ),
    Field(
        "cap_table",
        "table",
        "share classes, options, SAFEs and notes",
        "股份类别、期权、SAFE 与可转债",
    ),
    Field(
        "assumptions",
        "table",
        "fees, escrow, discount rate and other deal terms",
        "费用、托管、折现率等交易条款",
    ),
    Field(
        "uncertainty",
        "table",
        "field = {dist = ..., ...}",
        "字段 = {dist = ..., ...}",
        '{growth_yoy = {dist = "triangular", low = 0.3, mode = 0.55, high = 0.7}}',
    ),
    Field(
        "correlation",
        "table",
        "triples [field, field, rho] for the Gaussian copula",
        "高斯连接函数的三元组 [字段, 字段, 相关系数]",
        '[["growth_yoy", "market.ipo_window", 0.3]]',
    ),
)

FIELD_BY_PATH: dict[str, Field] = {row.path: row for row in FIELDS}
