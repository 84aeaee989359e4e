"""Makes valid requests of schemathesis consistent, where a schema cannot say what goes together."""

import csv
import datetime
import io
import uuid

import schemathesis
from hypothesis import strategies

# Days of one request for slots, and for what is free.
SLOT_DAYS_MAX = 31

# Days of a campaign.
CAMPAIGN_DAYS_MAX = 92

# Of an injection only a completion has these.
RECORD = ["lotNumber", "bodySite", "doseNumber", "performer", "occurredAt"]

SHEET_COLUMNS = ["rowId", "injectionId", *RECORD]

# The site that the test creates.
SITE = 1

TIME_ZONES = ["Asia/Seoul", "America/St_Johns", "Etc/GMT+12", "UTC"]

CSV_COLUMNS = [
    "siteId", "system", "externalId", "nameKo", "nameEn", "line", "city", "region", "postalCode",
    "phone", "timeZone", "latitude", "longitude", "accessibility", "openingHours",
]


def dates():
    first, last = datetime.date(2000, 1, 1), datetime.date(2999, 12, 31)
    return strategies.dates(first, last).map(datetime.date.isoformat)


def instants():
    # A day less at each end, for the offset.
    first, last = datetime.datetime(2000, 1, 2), datetime.datetime(2999, 12, 30)
    offset = strategies.sampled_from(["Z", "+09:00", "-09:30"])
    return strategies.builds(
        lambda instant, offset: instant.isoformat() + offset,
        strategies.datetimes(first, last),
        offset,
    )


@strategies.composite
def tables(draw):
    """Sites as CSV: some of the columns, with any text in their cells."""
    columns = draw(strategies.lists(strategies.sampled_from(CSV_COLUMNS), min_size=1, unique=True))
    cell = strategies.text(strategies.characters(codec="utf-8"), max_size=8)
    row = strategies.lists(cell, min_size=len(columns), max_size=len(columns))
    file = io.StringIO(newline="")
    writer = csv.writer(file, quoting=csv.QUOTE_ALL)
    writer.writerows([columns, *draw(strategies.lists(row, max_size=3))])
    return file.getvalue().encode()


# Only campaigns have dates and instants in requests.
schemathesis.openapi.format("date", dates())
schemathesis.openapi.format("date-time", instants())
schemathesis.openapi.media_type("text/csv", tables())


@schemathesis.hook
def filter_query(context, query):
    """Parameters that nobody knows are ignored, so that a request is not wrong because of one."""
    return all(name in context.operation.query for name in query or ())


@schemathesis.hook
def before_call(context, case, kwargs):
    for name, value in (case.query or {}).items():
        # The same number, as it is written in a URL.
        if isinstance(value, float) and value.is_integer():
            case.query[name] = int(value)
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if case.headers and "Idempotency-Key" in case.headers:
        # A key belongs to one request, so that a second one with the same key is rightly refused.
        case.headers["Idempotency-Key"] = str(uuid.uuid4())
    operation = f"{case.method} {case.operation.path}"
    if operation == "POST /holds":
        repair_holds(case.body)
    elif operation in ("GET /slots", "GET /days", "GET /availability", "GET /sites/search/findNear"):
        end_within(case.query, SLOT_DAYS_MAX)
        if operation == "GET /slots" and "vaccineId" not in case.query:
            # What is free is of a vaccine; without one, a campaign is named.
            case.query.pop("free", None)
            case.query.setdefault("campaignId", 1)
    elif operation in ("POST /sites", "PUT /sites/{id}"):
        repair_site(case.body)
    elif operation == "PUT /sites/{id}/exceptions/{date}":
        case.body["hours"] = apart(case.body["hours"])
    elif operation in ("POST /campaigns", "PUT /campaigns/{id}"):
        repair_campaign(case.body)
    elif operation == "POST /lots/{id}/changes":
        repair_lot_change(case.body)
    elif operation == "GET /slots/{id}/next":
        days = [int(case.query[name]) for name in ("minDays", "maxDays")]
        case.query["maxDays"] = max(days)
    elif operation == "PUT /vaccines/{id}/product":
        repair_product(case.body)
    elif operation == "POST /bookings":
        repair_booking(case.body)
    elif operation in ("PATCH /bookings/{id}", "PUT /bookings/{id}"):
        # Only the first dose of a series has it.
        case.body.pop("nextSlotId", None)
    elif operation in ("PATCH /injections/{id}", "PUT /injections/{id}"):
        repair_injection(case.body)
    elif operation in ("GET /injections/search/findBySite", "GET /injections/sheet"):
        first = datetime.datetime.fromisoformat(case.query["from"])
        case.query["to"] = (first + datetime.timedelta(hours=1)).isoformat()
    elif operation == "POST /injections/sheet":
        case.body = sheet(case.body)


def repair_holds(batch):
    """A series has two slots, and none of it is held ahead of demand."""
    for block in batch["blocks"]:
        if "slotId" not in block:
            block.pop("nextSlotId", None)
        if "nextSlotId" in block:
            block["ahead"] = 0


def repair_product(product):
    ages = [product.get(name, default) for name, default in (("minAgeMonths", 0), ("maxAgeMonths", 1_800))]
    if ages[0] > ages[1]:
        del product["maxAgeMonths"]
    interval = product.get("nextDose")
    if interval and interval["minDays"] > interval["maxDays"]:
        interval["maxDays"] = interval["minDays"]


def repair_booking(booking):
    """A series has two slots."""
    slots = ("slotId", "nextSlotId")
    if booking.get("plan") == "series" and all(name in booking for name in slots):
        return
    booking.pop("plan", None)
    booking.pop("nextSlotId", None)


def repair_site(site):
    if site["timeZone"] not in TIME_ZONES:
        site["timeZone"] = TIME_ZONES[len(site["timeZone"]) % len(TIME_ZONES)]
    if "openingHours" in site:
        site["openingHours"] = apart(site["openingHours"])
    if "exceptions" in site:
        by_date = {exception["date"]: exception for exception in site["exceptions"]}
        site["exceptions"] = list(by_date.values())
        for exception in site["exceptions"]:
            exception["hours"] = apart(exception["hours"])


def repair_campaign(campaign):
    end_within(campaign, CAMPAIGN_DAYS_MAX)
    if "sites" in campaign:
        campaign["sites"] = [{**site, "siteId": SITE} for site in campaign["sites"][:1]]
    instants = [campaign.get(name) for name in ("bookFrom", "bookUntil")]
    if all(instants):
        first, last = map(datetime.datetime.fromisoformat, instants)
        if first >= last:
            del campaign["bookUntil"]


def repair_lot_change(change):
    if change["kind"] != "TRANSFERRED":
        change.pop("toSiteId", None)
    else:
        change.setdefault("toSiteId", SITE)


def repair_injection(injection):
    injection.pop("occurredAt", None)
    if injection["status"] != "INJECTION_COMPLETED":
        for field in RECORD:
            injection.pop(field, None)


def sheet(table):
    """The cells of a table under the columns of a sheet."""
    _, *rows = csv.reader(io.StringIO(table.decode(), newline=""))
    file = io.StringIO(newline="")
    writer = csv.writer(file, quoting=csv.QUOTE_ALL)
    columns = len(SHEET_COLUMNS)
    writer.writerows([SHEET_COLUMNS, *((row + [""] * columns)[:columns] for row in rows)])
    return file.getvalue().encode()


def end_within(period, days_max):
    """Ends a period on its first day, if it ended before that, or were too long."""
    first, last = (datetime.date.fromisoformat(period[name]) for name in ("from", "to"))
    if not 0 <= (last - first).days < days_max:
        period["to"] = period["from"]


def apart(intervals):
    """Without those that end before they begin, or overlap with one that begins earlier."""
    kept = []
    for interval in sorted(intervals, key=lambda it: (it.get("day", ""), it["from"], it["to"])):
        ends = [it["to"] for it in kept if it.get("day") == interval.get("day")]
        if interval["from"] < interval["to"] and all(end <= interval["from"] for end in ends):
            kept.append(interval)
    return kept
