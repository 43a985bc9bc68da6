"""What everybody knows and no text here says: the two ends of a link share no word.

    told                            asked
    the depot in Nairobi            the site in Kenya                       a city and its country
    the Finnish reading room        the library wing labelled fi            a language and its code

Cities and countries: a selection from the tables `zone.tab` and `iso3166.tab` of the time zone database, which are in
the public domain. Left out are cities that are named like their countries, and all but one city of a country. Languages
and codes: a selection from ISO 639-1; left out are codes that are English words. A test holds both against the tables
that Python or the machine has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from numpy.random import Generator


@dataclass(frozen=True)
class Link:
    """Something that is told of by one name and asked for by another. `sort` is a key of LINKS."""

    told: str
    asked: str
    sort: str

    def __str__(self) -> str:
        return self.told


def pairs(text: str) -> tuple[tuple[str, str], ...]:
    """Return the pairs of `one: other; one: other; ...`."""
    return tuple((one, other) for one, other in (pair.split(": ") for pair in " ".join(text.split()).split("; ")))


CITIES = pairs(
    "Kabul: Afghanistan; Tirane: Albania; Yerevan: Armenia; Luanda: Angola; Buenos Aires: Argentina; Vienna: Austria; "
    "Melbourne: Australia; Baku: Azerbaijan; Dhaka: Bangladesh; Brussels: Belgium; Ouagadougou: Burkina Faso; "
    "Sofia: Bulgaria; Bujumbura: Burundi; La Paz: Bolivia; Recife: Brazil; Nassau: Bahamas; Thimphu: Bhutan; "
    "Gaborone: Botswana; Minsk: Belarus; Toronto: Canada; Zurich: Switzerland; Santiago: Chile; Douala: Cameroon; "
    "Shanghai: China; Bogota: Colombia; Havana: Cuba; Nicosia: Cyprus; Prague: Czech Republic; Berlin: Germany; "
    "Copenhagen: Denmark; Algiers: Algeria; Guayaquil: Ecuador; Tallinn: Estonia; Cairo: Egypt; Asmara: Eritrea; "
    "Madrid: Spain; Addis Ababa: Ethiopia; Helsinki: Finland; Paris: France; Libreville: Gabon; Tbilisi: Georgia; "
    "Accra: Ghana; Nuuk: Greenland; Banjul: Gambia; Conakry: Guinea; Athens: Greece; Tegucigalpa: Honduras; "
    "Zagreb: Croatia; Port-au-Prince: Haiti; Budapest: Hungary; Jakarta: Indonesia; Dublin: Ireland; "
    "Jerusalem: Israel; Kolkata: India; Baghdad: Iraq; Tehran: Iran; Reykjavik: Iceland; Rome: Italy; Amman: Jordan; "
    "Tokyo: Japan; Nairobi: Kenya; Bishkek: Kyrgyzstan; Phnom Penh: Cambodia; Almaty: Kazakhstan; Vientiane: Laos; "
    "Beirut: Lebanon; Vaduz: Liechtenstein; Colombo: Sri Lanka; Monrovia: Liberia; Maseru: Lesotho; "
    "Vilnius: Lithuania; Riga: Latvia; Tripoli: Libya; Casablanca: Morocco; Chisinau: Moldova; Podgorica: Montenegro; "
    "Antananarivo: Madagascar; Skopje: North Macedonia; Bamako: Mali; Ulaanbaatar: Mongolia; Nouakchott: Mauritania; "
    "Blantyre: Malawi; Monterrey: Mexico; Kuala Lumpur: Malaysia; Maputo: Mozambique; Windhoek: Namibia; "
    "Niamey: Niger; Lagos: Nigeria; Managua: Nicaragua; Amsterdam: Netherlands; Oslo: Norway; Kathmandu: Nepal; "
    "Auckland: New Zealand; Muscat: Oman; Lima: Peru; Port Moresby: Papua New Guinea; Manila: Philippines; "
    "Karachi: Pakistan; Warsaw: Poland; Lisbon: Portugal; Asuncion: Paraguay; Bucharest: Romania; Belgrade: Serbia; "
    "Moscow: Russia; Kigali: Rwanda; Riyadh: Saudi Arabia; Khartoum: Sudan; Stockholm: Sweden; Ljubljana: Slovenia; "
    "Bratislava: Slovakia; Freetown: Sierra Leone; Dakar: Senegal; Mogadishu: Somalia; Paramaribo: Suriname; "
    "Damascus: Syria; Lome: Togo; Bangkok: Thailand; Dushanbe: Tajikistan; Ashgabat: Turkmenistan; Istanbul: Turkey; "
    "Port of Spain: Trinidad & Tobago; Dar es Salaam: Tanzania; Kampala: Uganda; Chicago: United States; "
    "Montevideo: Uruguay; Samarkand: Uzbekistan; Caracas: Venezuela; Aden: Yemen; Johannesburg: South Africa; "
    "Lusaka: Zambia; Harare: Zimbabwe"
)
LANGUAGES = pairs(
    "Albanian: sq; Arabic: ar; Armenian: hy; Basque: eu; Bengali: bn; Bulgarian: bg; Burmese: my; Catalan: ca; "
    "Chinese: zh; Croatian: hr; Czech: cs; Danish: da; Dutch: nl; Esperanto: eo; Estonian: et; Finnish: fi; "
    "French: fr; Galician: gl; Georgian: ka; German: de; Greek: el; Gujarati: gu; Hausa: ha; Hungarian: hu; "
    "Irish: ga; Japanese: ja; Javanese: jv; Khmer: km; Korean: ko; Kurdish: ku; Latvian: lv; Lithuanian: lt; "
    "Macedonian: mk; Malagasy: mg; Maltese: mt; Maori: mi; Marathi: mr; Mongolian: mn; Nepali: ne; Pashto: ps; "
    "Persian: fa; Polish: pl; Portuguese: pt; Punjabi: pa; Romanian: ro; Russian: ru; Sanskrit: sa; Serbian: sr; "
    "Slovak: sk; Slovenian: sl; Somali: so; Spanish: es; Swahili: sw; Swedish: sv; Tamil: ta; Telugu: te; Thai: th; "
    "Tibetan: bo; Turkish: tr; Ukrainian: uk; Urdu: ur; Uzbek: uz; Vietnamese: vi; Welsh: cy; Xhosa: xh; Yoruba: yo; "
    "Zulu: zu"
)
ENGLISH_WORDS = frozenset("am as at be by de do he hi id in is it la ma me my no of on or pa so to us we".split())
"""Codes that hay is full of: they would lead anywhere."""

LINKS: Mapping[str, tuple[Link, ...]] = {
    "city": tuple(Link(f"the depot in {city}", f"the site in {country}", "city") for city, country in CITIES),
    "language": tuple(
        Link(f"the {language} reading room", f"the library wing labelled {code}", "language")
        for language, code in LANGUAGES
        if code not in ENGLISH_WORDS
    ),
}


def draw_link(rng: Generator, *, near: Link | None = None) -> Link:
    """Return a link, or another one of the sort of `near` (a draw can hit the same: the caller checks)."""
    links = LINKS[near.sort if near else tuple(LINKS)[rng.integers(len(LINKS))]]
    return links[rng.integers(len(links))]
