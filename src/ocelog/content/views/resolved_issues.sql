-- resolved_issues: Issues that are resolved or that Wiz no longer shows, one row per issue. Rejected ones are not among
-- them: the risk is still there.
SELECT
  -- outcome VARCHAR: fixed; deleted: the resource is gone; gone: Wiz no longer shows the issue and did not say why (two
  --   sweeps agreed); unknown: resolved, and Wiz gave no reason or another one (see reason).
  CASE
    WHEN p_inferred IS NOT NULL THEN 'gone'
    WHEN resolutionReason = 'OBJECT_DELETED' THEN 'deleted'
    WHEN resolutionReason = 'ISSUE_FIXED' THEN 'fixed'
    ELSE 'unknown'
  END AS outcome,
  -- resolved TIMESTAMPTZ: When it was resolved, as well as that is known: see resolved_from.
  asked_at AS resolved,
  -- resolved_from VARCHAR: Where that date is from. resolvedAt, statusChangedAt: Wiz says so. updatedAt: Wiz gave no
  --   date; it was resolved by then. seen: it was seen as resolved then. sweep: Wiz no longer showed it then; it may have
  --   ended some days earlier.
  resolved_from,
  -- reason VARCHAR: Wiz's own word for the reason.
  resolutionReason AS reason,
{issue_columns}
FROM (
  SELECT *,
    CASE
      WHEN p_inferred IS NOT NULL THEN 'sweep'
      WHEN resolvedAt IS NOT NULL THEN 'resolvedAt'
      WHEN statusChangedAt IS NOT NULL THEN 'statusChangedAt'
      WHEN updatedAt IS NOT NULL THEN 'updatedAt'
      ELSE 'seen'
    END AS resolved_from,
    CASE resolved_from WHEN 'resolvedAt' THEN resolvedAt WHEN 'statusChangedAt' THEN statusChangedAt
      WHEN 'updatedAt' THEN updatedAt ELSE p_observed_at END AS asked_at
  FROM wiz_issues_current
  WHERE status = 'RESOLVED' OR p_inferred IS NOT NULL
)
