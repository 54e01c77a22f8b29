"""What the columns and the kinds of papers of a spreadsheet's cap table are called.

English and Chinese spellings, and the plain ones of other languages. A spelling that stands for two
things in practice is left out, so that its column is refused by name: 出资额 may be the registered
capital, a purchase price that of a share or of all. Standard library only.
"""

from __future__ import annotations

import re
import unicodedata

from fastnn.exit_strategy.reading.amounts import AmountError, read_amount

__all__ = [
    "COLUMNS",
    "LEFT_OUT",
    "column_of",
    "is_company",
    "is_founding",
    "is_gone",
    "is_nobody",
    "kind_of",
    "one_form",
    "plain_words",
    "says_of_itself",
    "unit_of",
]  # fmt: skip

_NAMES: dict[str, str] = {
    "holder": "holder|shareholder|stockholder|name|investor|owner|member|holder name|stakeholder|"
    "shareholder name|stockholder name|stakeholder name|investor name|security holder|"
    "股东|股东名称|股东姓名|股东名册|持有人|持有人名称|投资人|投资方|投资者|姓名|名称|"
    "gesellschafter|aktionär|inhaber|sócio|acionista|socio|accionista|associé|actionnaire|"
    "株主|株主名|氏名|주주|주주명|акционер",
    "class": "class|share class|stock class|class of shares|class of stock|security|security type|"
    "security class|share type|stock type|instrument|series|type of security|type of shares|"
    "类别|股份类别|股权类别|股票类别|股份类型|股权类型|证券类型|类型|轮次|融资轮次|股份种类|"
    "gattung|aktiengattung|anteilsklasse|art|art der anteile|aktienart|anteilsart|"
    "classe|tipo de ação|clase|catégorie|"
    "株式の種類|種類|종류|주식종류|класс",
    "shares": "shares|number of shares|no of shares|num shares|shares held|shares owned|quantity|"
    "share count|units|shares outstanding|outstanding shares|quantity outstanding|total shares|"
    "股数|股份数|股份数量|持股数|持股数量|持股股数|数量|持有股数|"
    "anteile|stückzahl|anzahl|aktien|anzahl aktien|anzahl anteile|ações|quotas|quantidade|"
    "acciones|actions|nombre d'actions|株数|持株数|株式数|주식수|количество акций",
    "price": "price|price per share|issue price|share price|original issue price|oip|pps|"
    "issue price per share|purchase price per share|price share|"
    "每股价格|单价|发行价|发行价格|每股认购价|每股认购价格|每股单价|"
    "preis je aktie|preis pro aktie|preis je anteil|ausgabepreis|preço por ação|"
    "precio por acción|prix par action|1株当たり払込金額|株価|주당가격",
    "invested": "invested|amount invested|investment|investment amount|invested amount|amount|"
    "total invested|capital invested|cash paid|cash invested|cash raised|capital raised|"
    "principal|principal amount|"
    "投资额|投资金额|投资款|认购金额|实际投资额|金额|本金|"
    "investiert|investierter betrag|investition|valor investido|monto invertido|"
    "montant investi|investissement|投資額|払込金額|투자금액|투자금",
    "ownership": "%|ownership|ownership %|% ownership|percentage|percent|shareholding|"
    "shareholding %|% of shares|% of total|% held|holding %|% outstanding|% issued|pct|"
    "percent ownership|ownership percentage|% of issued|stake|"
    "持股比例|持股比例 %|股权比例|股权占比|占比|比例|持股占比|"
    "anteil %|anteil in %|beteiligung|beteiligung %|quote|participação|participação %|"
    "porcentaje|pourcentage|持株比率|持分比率|지분율|доля",
    "diluted": "fully diluted %|% fully diluted|fd %|% fd|fully diluted ownership|fdo|"
    "fully diluted percentage|% of fully diluted|ownership fully diluted|"
    "ownership % fully diluted|完全稀释比例|完全摊薄比例|全面摊薄比例|完全稀释后比例|"
    "完全稀释后持股比例|稀释后持股比例|vollverwässert %|完全希薄化後比率",
    "strike": "strike|strike price|exercise price|exercise price per share|行权价|行权价格|"
    "每股行权价|basispreis|ausübungspreis|preço de exercício|precio de ejercicio|"
    "prix d'exercice|行使価額|행사가격",
    "role": "role|relationship|holder type|stakeholder type|shareholder type|founder|is founder|"
    "角色|身份|股东类型|股东身份|是否创始人|创始人|役割|rolle|gründer|função|rôle",
    "date": "date|issue date|date of issue|issued on|issuance date|investment date|closing date|"
    "投资日期|出资日期|日期|发行日期|交割日|ausgabedatum|datum|data|fecha",
    "multiple": "liquidation preference|liq pref|preference multiple|liquidation multiple|"
    "liquidation preference multiple|清算优先倍数|优先清算倍数|清算优先权倍数|"
    "liquidationspräferenz",
    "participation": "participation|participating|参与分配|参与权|参与分配权",
    "cap": "participation cap|cap multiple|参与上限|参与分配上限",
    "seniority": "liquidation order|liquidation rank|order of payment|清算顺序|清算顺位|受偿顺序",
    "conversion_ratio": "conversion ratio|conversion rate|转换比例|转股比例",
    "conversion_price": "conversion price|转换价格|转股价格|转股价",
    "dividend_rate": "dividend rate|cumulative dividend rate|股息率",
    "anti_dilution": "anti dilution|antidilution|反稀释|反稀释条款",
    "valuation_cap": "cap|valuation cap|估值上限",
    "discount": "discount|conversion discount|wandlungsrabatt|décote|deságio|折扣|折扣率",
    "interest": "interest|interest rate|zinssatz|taux d'intérêt|taxa de juros|利率|年利率",
    "currency": "currency|币种|货币|währung|moeda|moneda|devise|通貨|통화",
    "status": "status|状态",
}  # fmt: skip

#: Spelling -> what the column holds.
COLUMNS = {word: field for field, words in _NAMES.items() for word in words.split("|")}

#: Columns that say nothing about money.
LEFT_OUT = frozenset((
    "", "no", "nr", "id", "email", "e mail", "address", "country", "phone", "certificate",
    "certificate id", "certificate no", "certificate number", "security id", "stakeholder id",
    "tax id", "registration number", "序号", "编号", "邮箱", "地址", "电话", "证件号", "证件号码",
    "身份证号", "国籍", "统一社会信用代码", "adresse", "番号", "住所",
))  # fmt: skip

#: How the role of a founder is written, and of one who is none or no longer.
_FOUNDING = (
    r"founder|promoter|创始|创办|創業|창립|설립|gründer|fundador|fondat|founding|"
    r"oprichter|grundare|założyciel|kurucu|창업|основател"
)
_NOT_FOUNDING = (
    r"\b(?:non|not|no|ex|former|spouse|fund|family|group|trust|fonds|fondation)\b|founders? fund|"
    r"非|前|配偶|ehemalig|ex |gründerfonds|founders?'|"
    r"\b(?:of|to|by|with|from|for) (?:the |a )?(?:co )?founder|"
    r"founder (?:friend|relative|brother|sister|wife|husband|father|mother|parent|child)|"
    r"founding (?!partner|ceo|cto|shareholder|stockholder|director)\w|"
    r"(?:创始|创办|創業|창립|설립).{0,2}(?:投资|投資|투자|基金|团队|員工|员工|成员|家族)"
)
#: Venture capital, which Taiwan and Korea call by the word for founding.
_VENTURE = r"(?:創業|创业|창업)(?:投資|投资|투자)"

_COMMON = (
    r"(?:class [ab] )?(?:common|ordinary|equity)(?: (?:stock|shares?))?(?: class [ab])?|"
    r"ordinaries|stammaktien?|stammanteile?|ações ordinárias|ordinárias|on|普通股|普通株式|普通株|"
    r"acciones ordinarias|actions ordinaires|보통주"
)
_POOL = (
    r"(?:option |esop |stock option )?pool,? (?:un\w+|available|remaining|reserved)|"
    r"(?:un(?:issued|granted|allocated)|available|reserved)(?: options?| option pool| esop| pool)*|"
    r"(?:options|shares|esop|pool)(?: and rsu'?s)? (?:available|unissued|ungranted|unallocated)"
    r"(?: for (?:issuance|grant|future grant))?|"
    r"未(?:授予|发放|分配)(?:期权|期权池)?|(?:期权池|期权)未(?:授予|发放|分配)|预留期权池?|预留"
)
#: Holders that are none: shares of the company itself, not issued, a pool, and rows of checks.
_NOBODY = (
    rf"{_POOL}|(?:.* )?treasury(?: (?:shares?|stock|units?))?|own shares?|"
    r"(?:un)?authori[sz]ed(?: (?:but|and) unissued| unissued)?(?: (?:shares?|capital|stock))?|"
    r"unissued (?:shares?|capital|stock)|eigene (?:anteile|aktien|geschäftsanteile)|"
    r"actions? propres?|autocontrôle|azioni proprie|quote proprie|acciones propias|autocartera|"
    r"(?:ações em )?tesouraria|egna aktier|egne aktier|库存股份?|公司自持|自己株式|자기주식|"
    r"(?:(?:esop|employees?|stock|share|option|equity|incentive|management|talent|mitarbeiter|"
    r"vsop) )*pool|(?:available|reserved) for (?:future )?(?:grants?|issuance)|"
    r"期权池|股权激励池|激励池|员工期权池|ストックオプションプール|"
    r"rounding|difference|variance|delta|check|balance check|控制数|差额|尾差"
)
#: Holders of options already granted, but of shares neither surely nor surely not.
_PLANS = r"esop|(?:[0-9]{4} )?(?:(?:stock|share|equity|employee|incentive) )*(?:options? )?plan"
_OPTIONS = (
    r"(?:stock |employee |share |vested |granted |outstanding |unexercised )*options?"
    r"(?: (?:and|&) rsu'?s?)?(?: (?:granted|outstanding|issued|and|iso|nso))*|"
    r"(?:iso|nso|emi options?|vsop|bspce)s?|"
    r"esop granted|(?:已授予)?(?:期权|股票期权|员工期权)|已授予|optionen|opções|"
    r"ストックオプション|"
    r"新株予約権|스톡옵션"
)
_UNITS = r"rsus?|restricted stock units?|限制性股票单位"
_WARRANTS = (
    r"(?:(?P<on>.+) )?warrants?|(?P<zh>.+?)认股权证|"
    r"warrants? (?:for|on|over|to (?:purchase|buy)) (?P<over>.+)"
)
_SAFE = (
    r"(?:(?P<when>pre|post) money |(?P<first>mfn) )?"
    r"safes?(?: (?P<after>pre|post) money| (?P<mfn>mfn)(?: only)?)?"
)
_NOTE = (
    r"(?:(?:pre )?seed |bridge )?(?:convertible )?(?:promissory )?notes?|"
    r"convertibles? (?:loan|debt|note)s?|可转债|"
    r"可转换债券|过桥可转债|wandeldarlehen|wandelanleihe|mútuo conversível|nota convertible|cln"
)
_PREFERRED = (
    r"(?![a-h] ?[0-9]? ?(?:stock|shares?)$)"  # common with more votes in some countries
    r"(?:series |round |serie )?(?:pre )?(?:seed|angel|[a-h])(?: ?[0-9])?"
    r"(?: (?:preferred|preference|pref|prime))*(?: (?:stock|shares?))?|"
    r"(?:preferred|preference|pref|prefs)(?: (?:stock|shares?))?(?: .{1,12})?|"
    r"(?:种子|天使|pre a|[a-h][0-9+]?)轮?\+?(?:优先股)?|.*优先股.*|.*(?:preferred|preference).*|"
    r"(?:种子|天使|种子天使|战略|pre ?[a-h]|[a-h])\+*[0-9]?轮|シード|.*優先株式?|.*种类株式|"
    r".*vorzugs(?:geschäfts)?(?:aktien?|anteile?)(?: (?:der )?(?:serie |klasse )?[a-h][0-9]?)?|"
    r"(?:ações )?preferenciais|.*우선주|"
    r"actions de préférence(?: .{1,12})?|adp(?: [a-h][0-9]?)?|"
    r"(?:(?:pre )?series [a-h][0-9]? |(?:pre )?seed )?(?:c|r|rc|oc)?cps"
)
#: What a name with "preferred" in it says of something else: rights to such shares, what they cost
#: or are owed, and shares that are not outstanding.
_NOT_PREFERRED = (
    r"\b(?:options?|rights?|warrants?|bsa|pool|esop|plan|authori[sz]ed|unissued|reserved|treasury|"
    r"available|cancell?ed|converted|convertible (?:in)?to|redeemed|repurchased|retired|forfeited|"
    r"transferred|exercised|expired|former(?:ly)?|notes?|loans?|debt|bonds?|safes?|phantom|virtual|"
    r"synthetic|dividends?|liquidation|total|subtotal|common|ordinary|ordinaires|"
    r"non(?! (?:participating|voting|cumulative))|no|not|without|"
    r"ex|price|pps|oip|cost|amount|invested|investment|money|paid|proceeds|raised|value|valuation|"
    r"date|percent(?:age)?|pct|ratio|multiple|cap|rank|seniority|interest|holders?)\b|%|[$€£¥₹]|"
    r"期权|认股|认购|购股|注销|回购|赎回|已?转换?[为成]|借款|贷款|债|[非无未](?!参与|投票|表决|累积)|潜在|库存|普通股|普通株|授权|预留|"
    r"合计|小计|总|股息|红利|股利|金额|价|倍数|清算|比例|보통주|옵션|소각"
)
_KINDS = (
    ("pool", _POOL), ("options", _OPTIONS), ("units", _UNITS), ("warrants", _WARRANTS),
    ("safe", _SAFE), ("note", _NOTE), ("common", _COMMON), ("preferred", _PREFERRED),
)  # fmt: skip


def one_form(text: object) -> str:
    """Return a cell's text with one form of letters, and all its marks."""
    return unicodedata.normalize("NFKC", str(text)).casefold()


def plain_words(text: object) -> str:
    """Return a cell's text for comparison: one form of letters, no marks, single spaces."""
    return " ".join(re.sub(r"[\s_\-–—/.:,*#\"]+", " ", one_form(text)).split())


def is_founding(role: str) -> bool | None:
    """Whether a role is that of a founder; None where it may be that of a former one."""
    words = plain_words(role)
    if not re.search(_FOUNDING, re.sub(_VENTURE, "", words)):
        return False
    return None if re.search(_NOT_FOUNDING, words) else True


def is_nobody(holder: str, kind: str) -> bool:
    """Whether a name in the column of holders is not one of a person: "Treasury", "Unissued"."""
    plain = " ".join(re.sub(r"[()（）]", " ", plain_words(holder)).split())
    if kind in ("common", "preferred") and re.fullmatch(_PLANS, plain):
        return True
    return re.fullmatch(_NOBODY, plain) is not None


#: Behind or before a company's name, left out at will.
_LEGAL = (
    r"inc(?:orporated)?|corp(?:oration)?|co|company|ltd|limited|pvt|private|pte|pty|sdn|bhd|"
    r"l ?l ?c|l ?l ?p|p ?l ?c|gmbh|ggmbh|ag|ug|haftungsbeschränkt|kgaa|se|s ?a ?s|s ?a ?r ?l|s ?a|"
    r"s ?p ?a|s ?r ?l|s ?l|ltda|b ?v|n ?v|ab|oyj?|asa?|aps|a s|k ?k|the"
)
_LEGAL_EAST = r"(?:股份)?有限(?:责任)?公司|株式会社|合同会社|주식회사|\(?株\)?|㈱"
#: The company itself, without its name.
_ITSELF = frozenset(("the company", "company", "issuer", "the issuer", "this company", "本公司",
                     "公司", "公司自身", "die gesellschaft", "gesellschaft", "la société",
                     "la sociedad", "la società", "a sociedade", "会社", "当社", "当会社",
                     "회사"))  # fmt: skip


#: What is written behind a holder whose paper is no longer outstanding.
_GONE = (
    r"\b(?:cancell?ed|re(?:purchased|deemed|tired)|forfeited|expired|exercised|converted|void(?:ed)?|"
    r"transferred|terminated|surrendered|lapsed|bought back|deleted|gelöscht|eingezogen|verfallen|"
    r"zurückgekauft|übertragen|annulée?s?|rachetée?s?|transférée?s?|caducs?|cancelad[oa]s?)\b|"
    r"注销|回购|作废|失效|已转让|已退出|已行权|已转股|已取消|消却|失効|소각|취소"
)


def is_gone(holder: str) -> bool:
    """Whether a holder's name says that the paper is gone: "Ben (cancelled)"."""
    return re.search(_GONE, plain_words(re.sub(r"[()\[\]（）【】]", " ", holder))) is not None


#: What a class's name says of it -> the term that has to say it too.
_SAYS_ITSELF = {
    "participation": r"(?<!non )\bparticipating\b|(?<![不非无])参与",
    "dividend_rate": r"(?<!non )\bcumulative\b|(?<![不非无])累[积计]",
}
#: "2x", "1.5x", "2倍" in a class's name; "1x" is what is taken anyhow.
_TIMES = (
    r"(?<![\d.,])(?!1(?:[.,]0+)?\s?[x×倍])(?:\d+(?:[.,]\d+)?\s?[x×](?![a-z0-9])"
    r"|(?:\d+(?:[.,]\d+)?|[两二三四五])\s?倍)"
)


def says_of_itself(name: str) -> list[str]:
    """The terms that a class's name says something of: "Series A Participating Preferred"."""
    plain = plain_words(name)
    found = [term for term, shape in _SAYS_ITSELF.items() if re.search(shape, plain)]
    times = re.search(_TIMES, one_form(name))
    return [*found, "multiple"] if times else found


def is_company(holder: str, company: str | None) -> bool:
    """Whether a holder is the company itself, whose own shares nobody is paid for."""
    return plain_words(holder) in _ITSELF or (
        company is not None and bool(_bare(company)) and _bare(holder) == _bare(company)
    )


def _bare(name: str) -> str:
    """A company's name without its legal form; as it is where nothing else is left."""
    words = " ".join(re.sub(r"[()（）&]", " ", plain_words(name)).split())
    bare = re.sub(_LEGAL_EAST, "", words).strip()
    bare = re.sub(rf"^the (?=.)|(?: (?:{_LEGAL}))+$", "", bare)
    return bare or words


def column_of(text: object) -> tuple[str, str]:
    """Return what a column holds, and what its header puts behind its numbers: "万", "USD".

    A column of an unknown name comes back as "?", one that says nothing of money as "".
    """
    words = unicodedata.normalize("NFKC", str(text)).strip()
    found = re.fullmatch(r"(?s)(.+?)\s*[(\[]\s*([^()\[\]]*)\s*[)\]]", words)
    name, behind = (found[1], found[2]) if found else (words, "")
    unit = ""
    if behind:
        unit = unit_of(behind)
        if not unit and plain_words(behind) not in _HARMLESS:
            name, behind = f"{name} {behind}", ""
    plain = plain_words(name)
    if plain in LEFT_OUT:
        return "", ""
    field = COLUMNS.get(f"{plain} %" if unit == "%" else plain) or COLUMNS.get(plain, "?")
    return field, "" if field in ("ownership", "diluted") else unit


#: What a header says in brackets without changing a number.
_HARMLESS = frozenset(("股", "个", "shares", "each", "x", "as converted", "pa", "p a", "年"))


def unit_of(text: str) -> str:
    """Return a unit or a currency in words that the reader of amounts knows, else ""."""
    words = text.strip().removeprefix("in ").removesuffix("股").strip()
    if re.fullmatch(r"'?000'?s?", words):
        words = "k"
    turned = " ".join(reversed(words.split()))  # "USD m" is "m USD" behind a number
    for form in dict.fromkeys((words, words.removesuffix("s"), turned)):
        try:
            found = read_amount(f"1 {form}") if form else None
        except AmountError as error:
            if error.two_ways:
                return form  # the reader of each cell says what is unclear
            continue
        if found is not None and (found.value != 1 or found.currency):
            return form
    return ""


#: How exports abbreviate a class behind its name; (SO), (CW) or (RSU) is another paper.
_LETTERS = {
    "common": r"C(?!W|SO|O$)[A-Z]{1,2}|OS|ORD",
    "preferred": r"[PS](?![OW]|AR|AF)[A-Z]{1,2}",
}


def kind_of(text: str) -> tuple[str, str]:
    """Return what a class name stands for ("" when it cannot be told) and what it is said of.

    The second is the class that warrants are for, or "pre", "post" or "mfn" of a SAFE. Letters in
    brackets behind the name count where they are those of its kind: "Common (CS)".
    """
    lettered = re.fullmatch(r"(.+?)\s*[(（]([A-Z]{2,3})[0-9]?[)）]", str(text).strip())
    if lettered:
        kind, about = kind_of(lettered[1])
        if re.fullmatch(_LETTERS.get(kind, ""), lettered[2]):
            return kind, about
    plain = plain_words(
        text.replace("(", " ").replace(")", " ").replace("（", " ").replace("）", " ")
    )
    for kind, shape in _KINDS:
        found = re.fullmatch(shape, plain)
        if found and kind == "preferred" and re.search(_NOT_PREFERRED, plain):
            return "", ""
        if found:
            said = found.groupdict()
            return kind, next((word for word in said.values() if word), "")
    return "", ""
