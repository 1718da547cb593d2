"""Primary care services and the clinicians whose services count, as the Shared Savings Program lists them.

Codes are numbers alone; their descriptions belong to the American Medical Association.
"""

__all__ = ["NON_PHYSICIANS", "PRIMARY_CARE", "PRIMARY_CARE_SERVICES", "SPECIALISTS"]

# 42 CFR 425.400(c)(1): codes that have been primary care services in any performance year. The list grows
# from year to year; this one was not compared with the regulation line by line (unverified). Codes 99304 to
# 99318 count only outside a skilled nursing facility stay, which a history cannot tell.
_RANGES = (
    (96160, 96161),
    (99201, 99205),
    (99211, 99215),
    (99304, 99310),
    (99315, 99316),
    (99318, 99318),
    (99324, 99328),
    (99334, 99340),
    (99341, 99350),
    (99354, 99355),
    (99406, 99407),
    (99421, 99427),
    (99437, 99437),
    (99439, 99439),
    (99441, 99443),
    (99483, 99484),
    (99487, 99487),
    (99489, 99498),
)
_LEVEL_TWO = """
G0101 G0402 G0438 G0439 G0442 G0443 G0444 G0463 G0506 G2010 G2012 G2058 G2064 G2065 G2211 G2212 G2214 G2252
G3002 G3003 G0317 G0318
"""
PRIMARY_CARE_SERVICES = frozenset(
    [str(number) for first, last in _RANGES for number in range(first, last + 1)] + _LEVEL_TWO.split()
)

# Medicare specialty codes. Physicians of primary care: 42 CFR 425.20 (general practice, family practice,
# internal medicine, pediatric medicine, geriatric medicine).
PRIMARY_CARE = frozenset({"01", "08", "11", "37", "38"})
# Nurse practitioners, clinical nurse specialists, physician assistants: 42 CFR 425.402(b)(3).
NON_PHYSICIANS = frozenset({"50", "89", "97"})
# Physicians of the second step: 42 CFR 425.402(c) (cardiology to gynecology/oncology).
_STEP_TWO = "06 12 13 16 23 25 26 27 29 39 46 70 79 82 83 84 86 90 98"
SPECIALISTS = frozenset(_STEP_TWO.split(" "))
