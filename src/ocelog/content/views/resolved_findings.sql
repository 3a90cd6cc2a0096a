-- resolved_findings: Vulnerability findings that are resolved or that Wiz no longer shows, one row per finding. Rejected
-- ones are not among them: the vulnerability is still there.
SELECT
  -- outcome VARCHAR: fixed; deleted: the resource is gone; gone: Wiz no longer shows the finding and did not say
  --   why (two sweeps agreed); unknown: resolved, and Wiz gave no reason or another one (see reason).
  CASE
    WHEN p_inferred IS NOT NULL THEN 'gone'
    WHEN resolutionReason = 'OBJECT_DELETED' THEN 'deleted'
    WHEN resolutionReason = 'FINDING_FIXED' THEN 'fixed'
    ELSE 'unknown'
  END AS outcome,
  -- resolved TIMESTAMPTZ: When it was resolved, as well as that is known: see resolved_from.
  asked_at AS resolved,
  -- resolved_from VARCHAR: Where that date is from. resolvedAt: Wiz says so. updatedAt: Wiz gave no date; it was
  --   resolved by then. seen: nor did updatedAt move; it was seen as resolved then. sweep: Wiz no longer showed it then;
  --   it may have ended some days earlier.
  resolved_from,
  -- reason VARCHAR: Wiz's own word for the reason.
  resolutionReason AS reason,
{finding_columns}
FROM (
  SELECT *,
    CASE
      WHEN p_inferred IS NOT NULL THEN 'sweep'
      WHEN resolvedAt IS NOT NULL THEN 'resolvedAt'
      WHEN updatedAt > coalesce(last_seen_open, '-infinity'::TIMESTAMPTZ) THEN 'updatedAt'
      ELSE 'seen'
    END AS resolved_from,
    CASE resolved_from WHEN 'resolvedAt' THEN resolvedAt WHEN 'updatedAt' THEN updatedAt ELSE p_observed_at END
      AS asked_at
  FROM wiz_vulnerability_finding_current
  LEFT JOIN (
    SELECT p_source_id AS open_source_id, id AS open_id, max(p_observed_at) AS last_seen_open
    FROM wiz_vulnerability_finding
    WHERE status <> 'RESOLVED'
    GROUP BY ALL
  ) ON open_source_id = p_source_id AND open_id = id
  WHERE status = 'RESOLVED' OR p_inferred IS NOT NULL
)
