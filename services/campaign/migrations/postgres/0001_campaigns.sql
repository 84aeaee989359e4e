-- The highest numbers ever given; one row.
CREATE TABLE last_numbers (
    site     BIGINT NOT NULL,
    campaign BIGINT NOT NULL,
    slot     BIGINT NOT NULL,
    day      BIGINT NOT NULL
);

INSERT INTO last_numbers (site, campaign, slot, day) VALUES (0, 0, 0, 0);

-- Sites; details: JSON. revision: how often a site was changed, from 1.
-- place_since_ms: since when it has its name, address, phone, time zone, position and accessibility.
CREATE TABLE sites (
    id             BIGINT NOT NULL PRIMARY KEY,
    revision       BIGINT NOT NULL,
    place_since_ms BIGINT NOT NULL,
    details        TEXT   NOT NULL,
    -- In millionths of a degree; of a site that is not on the map, NULL.
    latitude       BIGINT,
    longitude      BIGINT
);

CREATE TABLE site_identifiers (
    system TEXT    NOT NULL,
    value  TEXT    NOT NULL,
    site   BIGINT NOT NULL,
    PRIMARY KEY (system, value)
);

-- Campaigns; details: JSON. status: 0 draft, 1 scheduled, 2 open, 3 paused, 4 closed.
-- revision: how often a campaign was changed, from 1. changes: how often its status was.
CREATE TABLE campaigns (
    id       BIGINT NOT NULL PRIMARY KEY,
    status   BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    changes  BIGINT NOT NULL,
    details  TEXT    NOT NULL
);

CREATE INDEX open_campaigns ON campaigns (id) WHERE status = 2;

CREATE TABLE status_changes (
    campaign BIGINT NOT NULL,
    number   BIGINT NOT NULL,
    status   BIGINT NOT NULL,
    at_ms    BIGINT NOT NULL,
    reason   TEXT    NOT NULL,
    actor    TEXT    NOT NULL,
    PRIMARY KEY (campaign, number)
);

-- The sites of campaigns, and the revisions that their slots were planned for.
-- is_removed: 1 if it is no site of the campaign any more, but has slots of it.
CREATE TABLE campaign_sites (
    campaign         BIGINT NOT NULL,
    site             BIGINT NOT NULL,
    capacity         BIGINT,
    is_removed       BIGINT NOT NULL,
    planned_site     BIGINT,
    planned_campaign BIGINT,
    PRIMARY KEY (campaign, site)
);

CREATE INDEX campaign_sites_of_site ON campaign_sites (site, campaign);

-- The slots of days. date: as the number 20261201.
-- slots: JSON, [[number, from minute, minutes, capacity, held back], …].
CREATE TABLE slot_days (
    id        BIGINT NOT NULL PRIMARY KEY,
    campaign  BIGINT NOT NULL,
    site      BIGINT NOT NULL,
    date      BIGINT NOT NULL,
    time_zone TEXT    NOT NULL,
    slots     TEXT    NOT NULL,
    UNIQUE (campaign, site, date)
);

-- Which day has a slot: the slots that a day gets in one plan have numbers that follow each other.
-- first_slot: the first of them; those up to the next run are of the same day.
CREATE TABLE slot_runs (
    first_slot BIGINT NOT NULL PRIMARY KEY,
    day        BIGINT NOT NULL
);
