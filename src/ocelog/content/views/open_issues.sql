-- open_issues: Issues that are open now, one row per issue, in plain columns. Wiz's issues do not say whether the
-- resource is exposed: open_findings does, by the same resource_id.
SELECT
{issue_columns}
FROM wiz_issues_current, (SELECT now() AS asked_at)
WHERE p_inferred IS NULL AND (status IS NULL OR status NOT IN ('RESOLVED', 'REJECTED'))
