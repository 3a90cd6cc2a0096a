-- open_findings: Vulnerability findings that are open now, one row per finding, in plain columns.
SELECT
{finding_columns}
FROM wiz_vulnerability_finding_current, (SELECT now() AS asked_at)
WHERE p_inferred IS NULL AND (status IS NULL OR status NOT IN ('RESOLVED', 'REJECTED'))
