-- issues_at(t): The issues that existed at the instant t, one row per issue, with the status that each had then; the
-- column certainty says how sure that is. Issues that were closed before the backfill began are not in the lake.
WITH
-- Where other columns are in reach, a column of the caller would be taken for one of ours of the same name.
asked(asked_at) AS (SELECT t::TIMESTAMPTZ),
versions AS (
  SELECT p_source_id, id, p_row_id, p_version_time, p_observed_at, p_inferred,
    coalesce(statusChangedAt, resolvedAt) AS status_time,
    row_number() OVER record AS place,
    lag(p_version_time) OVER record AS time_before,
    lag(p_observed_at) OVER record AS observed_before
  FROM wiz_issues
{known_at}
-- Of a record without a version from then, the earliest one: its dates say something about the time before it.
dated AS (
  SELECT issue.*, first_seen, asked_at,
    CASE
      WHEN p_inferred IS NOT NULL THEN if(recorded IS NULL, 'unknown', 'gone')
      WHEN recorded_since > asked_at THEN 'dated'
      WHEN recorded IS NOT NULL
        AND (coalesce(statusChangedAt, resolvedAt) > asked_at AND p_observed_at > asked_at) IS NOT TRUE THEN 'recorded'
      WHEN createdAt IS NULL OR status IS NULL THEN 'unknown'
      WHEN coalesce(statusChangedAt, resolvedAt) <= asked_at THEN 'dated'
      WHEN statusChangedAt IS NULL AND status = 'OPEN' THEN 'dated'
      WHEN status = 'OPEN' OR coalesce(statusChangedAt, resolvedAt) IS NULL THEN 'unknown'
      ELSE 'assumed'
    END AS certainty
  FROM wiz_issues AS issue
  JOIN chosen ON issue.p_row_id = coalesce(recorded, earliest)
  CROSS JOIN asked
  WHERE recorded IS NOT NULL OR createdAt IS NULL OR createdAt <= asked_at
)
SELECT
{issue_columns},
  -- certainty VARCHAR: recorded: Ocelog has the version of then. dated: it has only a later one, whose dates say
  --   that the status was the same; the other columns may have differed. assumed: it existed and got its later status
  --   after t, so OPEN is assumed; it may have been closed and opened again. unknown: its status at t is not known,
  --   and null. gone: Wiz no longer showed it, and never said how it ended; status is null.
  certainty,
  -- first_seen TIMESTAMPTZ: When Ocelog saw the issue first. Before that there are no versions, only dates.
  first_seen
FROM (
  SELECT * REPLACE (CASE certainty WHEN 'assumed' THEN 'OPEN' WHEN 'unknown' THEN NULL ELSE status END AS status)
  FROM dated
)
