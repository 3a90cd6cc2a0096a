-- findings_at(t): The vulnerability findings that existed at the instant t, one row per finding, with the status that
-- each had then; the column certainty says how sure that is. Findings that were closed before the backfill began are not
-- in the lake.
WITH
-- Where other columns are in reach, a column of the caller would be taken for one of ours of the same name.
asked(asked_at) AS (SELECT t::TIMESTAMPTZ),
versions AS (
  SELECT p_source_id, id, p_row_id, p_version_time, p_observed_at, p_inferred,
    CASE WHEN status = 'RESOLVED' THEN resolvedAt END AS status_time,
    row_number() OVER record AS place,
    lag(p_version_time) OVER record AS time_before,
    lag(p_observed_at) OVER record AS observed_before
  FROM wiz_vulnerability_finding
{known_at}
-- Of a record without a version from then, the earliest one: its dates say something about the time before it.
dated AS (
  SELECT finding.*, first_seen, asked_at,
    CASE
      WHEN p_inferred IS NOT NULL THEN if(recorded IS NULL, 'unknown', 'gone')
      WHEN recorded_since > asked_at THEN 'dated'
      WHEN recorded IS NOT NULL
        AND (status = 'RESOLVED' AND resolvedAt > asked_at AND p_observed_at > asked_at) IS NOT TRUE THEN 'recorded'
      WHEN firstDetectedAt IS NULL OR status IS NULL THEN 'unknown'
      WHEN status = 'RESOLVED' AND resolvedAt <= asked_at THEN 'dated'
      WHEN status IN ('OPEN', 'IN_PROGRESS') OR (status = 'RESOLVED' AND resolvedAt > asked_at) THEN 'assumed'
      ELSE 'unknown'
    END AS certainty
  FROM wiz_vulnerability_finding AS finding
  JOIN chosen ON finding.p_row_id = coalesce(recorded, earliest)
  CROSS JOIN asked
  WHERE recorded IS NOT NULL OR firstDetectedAt IS NULL OR firstDetectedAt <= asked_at
)
SELECT
{finding_columns},
  -- certainty VARCHAR: recorded: Ocelog has the version of then. dated: it has only a later one, whose dates say
  --   that it was resolved already; the other columns may have differed. assumed: it was detected before t and
  --   changed after t, so OPEN is assumed; it may have been resolved and come back. unknown: its status at t is not
  --   known, and null. gone: Wiz no longer showed it, and never said how it ended; status is null.
  certainty,
  -- first_seen TIMESTAMPTZ: When Ocelog saw the finding first. Before that there are no versions, only dates.
  first_seen
FROM (
  SELECT * REPLACE (CASE certainty WHEN 'assumed' THEN 'OPEN' WHEN 'unknown' THEN NULL ELSE status END AS status)
  FROM dated
)
