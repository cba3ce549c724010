"""A whole made-up record that breaks no rule, in the document's order.

The cells of a rule's examples, `breaks` and `holds`, take the place of cells of this record. The client is on the
caseload after a positive drug test, has one referral to structured treatment, and the episode is not closed. A closure,
a second substance, a disability or a second row is therefore a change of a few cells.
"""

from __future__ import annotations

from datetime import date

#: The day on which the examples are checked.
EXAMPLE_TODAY = date(2026, 3, 31)

#: The record as a file has it: text by header, "" for blank. Every value is made up.
EXAMPLE: dict[str, str] = {
    "CLIENTID": "10042",
    "FINITIAL": "M",
    "SINITIAL": "O",
    "DOB": "14/02/1986",
    "SEX": "M",
    "ETHNIC": "A",
    "NATION": "GBR",
    "AGNCY": "CJ123",
    "CLIENT": "C10042",
    "EPISODID": "20077",
    "CMSID": "Example system 1.0",
    "CONSENT": "Y",
    "PC": "NE8 1",
    "DAT": "A09B",
    "UTLA": "E08000037",
    "REFLD": "03/11/2025",
    "CJRFLS": "X01",
    "TRIAGED": "06/11/2025",
    "OFFENCE": "X01",
    "PRISON": "",
    "SEXUALO": "1",
    "PREGNANT": "N",
    "RELIGION": "L",
    "DISABLE1": "9",
    "DISABLE2": "",
    "DISABLE3": "",
    "ALCDDAYS": "4",
    "ALCUNITS": "6",
    "HOUSING": "3",
    "HOMELESS": "N",
    "VETERAN": "N",
    "PARENT": "Y",
    "PRNTSTAT": "13",
    "CHILDWTH": "0",
    "EHCS": "2",
    "EHCSC2": "",
    "EHCSC3": "",
    "DRUG1": "1011",
    "ROUTE": "3",
    "DRUG2": "",
    "DRUG3": "",
    "INJSTAT": "P",
    "CPLANDT": "20/11/2025",
    "NALOXISS": "X01",
    "NALOXAD": "N",
    "DISD": "",
    "CJDISRSN": "",
    "REFERID": "30015",
    "REFDATE": "01/12/2025",
}
