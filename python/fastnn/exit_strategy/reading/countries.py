"""Codes of countries: ISO 3166-1, two letters, and what people write instead."""

from __future__ import annotations

__all__ = ["ISO_3166", "code_meant"]

#: In use in 2026, with XK, which is not ISO's own.
ISO_3166 = frozenset(
    "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR "
    "BS BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ "
    "EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW "
    "GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY "
    "KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV "
    "MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY "
    "QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG "
    "TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA "
    "ZM ZW".split()
)

#: Two letters that are no country's, often those of its language -> the code that is meant.
_INSTEAD = {
    "EN": "GB", "EL": "GR", "JA": "JP", "KO": "KR", "DA": "DK", "CS": "CZ", "UK": "GB", "ZH": "CN",
}  # fmt: skip

#: Names and three-letter codes, in small letters, by the code that is meant.
_NAMES = {
    "AE": "united arab emirates|uae|are|阿联酋|vereinigte arabische emirate|émirats arabes unis",
    "AR": "argentina|arg|阿根廷",
    "AT": "austria|österreich|aut|奥地利|autriche",
    "AU": "australia|aus|澳大利亚",
    "BE": "belgium|belgique|belgië|bel|比利时|belgien",
    "BM": "bermuda|bmu|百慕大",
    "BR": "brazil|brasil|bra|巴西|brasilien",
    "CA": "canada|can|加拿大",
    "CH": "switzerland|schweiz|suisse|svizzera|che|瑞士|swiss confederation",
    "CI": "ivory coast|côte d'ivoire|civ|科特迪瓦",
    "CL": "chile|chl|智利",
    "CN": "china|prc|people's republic of china|mainland china|chn|中国|中國|中国大陆|chine|kina",
    "CO": "colombia|col|哥伦比亚",
    "CY": "cyprus|cyp|塞浦路斯",
    "CZ": "czechia|czech republic|česko|cze|捷克",
    "DE": "germany|deutschland|deu|德国|德國|allemagne|alemania|germania|德意志",
    "DK": "denmark|danmark|dnk|丹麦|dänemark|danemark",
    "EE": "estonia|eesti|est|爱沙尼亚",
    "EG": "egypt|egy|埃及",
    "ES": "spain|españa|esp|西班牙|spanien|espagne",
    "FI": "finland|suomi|fin|芬兰|finnland",
    "FR": "france|fra|法国|法國|frankreich|francia",
    "GB": "united kingdom|great britain|britain|england|scotland|"
        "wales|northern ireland|gbr|u.k.|英国|英國|"
        "vereinigtes königreich|großbritannien|grossbritannien|royaume-uni",
    "GG": "guernsey|ggy|根西岛",
    "GR": "greece|grc|希腊|griechenland|ελλάδα",
    "HK": "hong kong|hong kong sar|hkg|香港|中国香港",
    "HR": "croatia|hrvatska|hrv|克罗地亚",
    "HU": "hungary|magyarország|hun|匈牙利",
    "ID": "indonesia|idn|印度尼西亚|印尼",
    "IE": "ireland|éire|irl|爱尔兰|republic of ireland|irland|irlande",
    "IL": "israel|isr|以色列",
    "IN": "india|bharat|ind|印度|indien|inde",
    "IS": "iceland|ísland|isl|冰岛",
    "IT": "italy|italia|ita|意大利|italien|italie",
    "JE": "jersey|jey|泽西岛",
    "JP": "japan|nippon|jpn|日本|japon|日本国",
    "KE": "kenya|ken|肯尼亚",
    "KR": "south korea|korea|republic of korea|kor|韩国|韓國|대한민국|한국|südkorea",
    "KY": "cayman islands|cayman|caymans|cym|开曼群岛|开曼",
    "KZ": "kazakhstan|казахстан|kaz|哈萨克斯坦",
    "LI": "liechtenstein|lie|列支敦士登",
    "LT": "lithuania|lietuva|ltu|立陶宛",
    "LU": "luxembourg|lux|卢森堡|luxemburg",
    "LV": "latvia|latvija|lva|拉脱维亚",
    "MO": "macao|macau|mac|澳门",
    "MT": "malta|mlt|马耳他",
    "MX": "mexico|méxico|mex|墨西哥",
    "MY": "malaysia|mys|马来西亚",
    "NG": "nigeria|nga|尼日利亚",
    "NL": "netherlands|the netherlands|holland|nederland|nld|荷兰|niederlande|pays-bas",
    "NO": "norway|norge|nor|挪威|norwegen",
    "NZ": "new zealand|nzl|新西兰",
    "PH": "philippines|phl|菲律宾",
    "PK": "pakistan|pak|巴基斯坦",
    "PL": "poland|polska|pol|波兰|polen|pologne",
    "PT": "portugal|prt|葡萄牙",
    "QA": "qatar|qat|卡塔尔",
    "RO": "romania|românia|rou|罗马尼亚",
    "RU": "russia|russian federation|россия|rus|俄罗斯",
    "SA": "saudi arabia|ksa|sau|沙特阿拉伯|沙特",
    "SE": "sweden|sverige|swe|瑞典|schweden|suède",
    "SG": "singapore|sgp|新加坡|singapur|singapour",
    "SI": "slovenia|slovenija|svn|斯洛文尼亚",
    "SK": "slovakia|slovensko|svk|斯洛伐克",
    "TH": "thailand|tha|泰国",
    "TR": "turkey|türkiye|tur|土耳其",
    "TW": "taiwan|twn|台湾|台灣",
    "UA": "ukraine|ukr|乌克兰",
    "US": "united states|united states of america|usa|u.s.|u.s.a.|america|"
        "vereinigte staaten|états-unis|etats-unis|estados unidos|美国|美國|美利坚合众国",
    "VG": "british virgin islands|bvi|vgb|英属维尔京群岛",
    "VN": "vietnam|viet nam|vnm|越南",
    "ZA": "south africa|zaf|南非",
}  # fmt: skip


def code_meant(written: str) -> str | None:
    """The code that a wrong code or the name of a country stands for, where it is known."""
    word = " ".join(written.replace("-", " ").split()).casefold()
    known = {name.casefold().replace("-", " "): code
             for code, names in _NAMES.items() for name in names.split("|")}  # fmt: skip
    return _INSTEAD.get(word.upper()) or known.get(word)
