  WHERE p_row_id IS NOT NULL
  WINDOW record AS (
    PARTITION BY p_source_id, id
    ORDER BY p_version_time NULLS FIRST, p_observed_at NULLS FIRST, p_row_id
  )
),
-- A version holds since its version time. A change that did not move that time is only known since it was seen.
begun AS (
  SELECT *,
    CASE
      WHEN p_inferred IS NULL AND (time_before IS NULL OR p_version_time > time_before)
        THEN least(p_version_time, p_observed_at)
      ELSE p_observed_at
    END AS since
  FROM versions
),
-- Its status may be older than that: by its own date, if that is later than when the version before was seen.
told AS (
  SELECT *,
    if(p_inferred IS NULL AND status_time > observed_before, least(status_time, since), since) AS status_since
  FROM begun
),
chosen AS (
  SELECT
    arg_max(p_row_id, place) FILTER (WHERE status_since <= asked_at) AS recorded,
    arg_max(since, place) FILTER (WHERE status_since <= asked_at) AS recorded_since,
    arg_min(p_row_id, place) AS earliest,
    min(p_observed_at) AS first_seen
  FROM told, asked
  GROUP BY p_source_id, id
),
