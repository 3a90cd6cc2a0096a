  -- severity VARCHAR: NONE, LOW, MEDIUM, HIGH or CRITICAL, as Wiz weighs it; or else by the vendor, or by CVSS.
  coalesce(severity, vendorSeverity, CVSSSeverity) AS severity,
  -- cve VARCHAR: The name of the vulnerability, mostly a CVE id.
  name AS cve,
  -- kev BOOLEAN: Whether CISA lists it as exploited in the wild (KEV).
  hasCisaKevExploit AS kev,
  -- age_days BIGINT: Whole days since it was first detected; in findings_at until t, in resolved_findings until
  --   resolved.
  floor((epoch(asked_at) - epoch(firstDetectedAt)) / 86400)::BIGINT AS age_days,
  -- resource VARCHAR: The name of the resource that has the vulnerable software.
  vulnerableAsset.name AS resource,
  -- exposure VARCHAR: The widest way to the resource: internet; limited (some addresses on the internet); VPN; other
  --   accounts; other networks; none; null if Wiz did not say.
  CASE
    WHEN vulnerableAsset.hasWideInternetExposure THEN 'internet'
    WHEN vulnerableAsset.hasLimitedInternetExposure THEN 'limited'
    WHEN vulnerableAsset.isAccessibleFromVPN THEN 'VPN'
    WHEN vulnerableAsset.isAccessibleFromOtherSubscriptions THEN 'other accounts'
    WHEN vulnerableAsset.isAccessibleFromOtherVnets THEN 'other networks'
    WHEN NOT (vulnerableAsset.hasWideInternetExposure OR vulnerableAsset.hasLimitedInternetExposure) THEN 'none'
  END AS exposure,
  -- owners VARCHAR: The owners of its projects, by name or else by mail address.
  nullif(array_to_string(list_sort(list_distinct(flatten(list_transform(projects, lambda project:
    list_transform(project.projectOwners, lambda person: coalesce(person.name, person.email)))))), ', '), '') AS owners,
  -- projects VARCHAR: The names of the projects that the resource belongs to.
  nullif(array_to_string(list_sort(list_distinct(list_transform(projects, lambda project: project.name))), ', '), '')
    AS projects,
  -- status VARCHAR: OPEN or IN_PROGRESS; null if Wiz did not say. resolved_findings and findings_at have closed
  --   ones too.
  status,
  -- due TIMESTAMPTZ: By when CISA asks for it to be fixed (KEV). Findings have no other due date.
  cisaKevDueDate AS due,
  -- software VARCHAR: The vulnerable software, as its package is called.
  detailedName AS software,
  -- version VARCHAR: The version that was found.
  version,
  -- fixed_version VARCHAR: The version that is no longer vulnerable.
  fixedVersion AS fixed_version,
  -- exploit BOOLEAN: Whether an exploit is publicly known.
  hasExploit AS exploit,
  -- epss DOUBLE: How likely it is to be exploited within 30 days, in per cent.
  epssProbability AS epss,
  -- cvss DOUBLE: CVSS base score, 0 to 10.
  score AS cvss,
  -- seen_running VARCHAR: Whether the vulnerable code was seen loaded or running: "true" or "false".
  validatedInRuntime AS seen_running,
  -- internet_exposed BOOLEAN: Whether the internet, or a part of it, can reach the resource; null if Wiz did not say.
  vulnerableAsset.hasWideInternetExposure OR vulnerableAsset.hasLimitedInternetExposure AS internet_exposed,
  -- business_impact VARCHAR: The highest impact of its projects: HBI, MBI or LBI.
  list_filter(['HBI', 'MBI', 'LBI'], lambda impact: list_contains(
    list_transform(projects, lambda project: TRY(project.riskProfile->>'businessImpact')), impact))[1] AS business_impact,
  -- resource_type VARCHAR: The kind of resource, such as VIRTUAL_MACHINE or CONTAINER_IMAGE.
  vulnerableAsset.type AS resource_type,
  -- cloud VARCHAR: Where the resource runs, such as AWS.
  vulnerableAsset.cloudPlatform AS cloud,
  -- account VARCHAR: The name of the account, subscription or cloud project, or else its id in the cloud.
  coalesce(nullif(vulnerableAsset.subscriptionName, ''), vulnerableAsset.subscriptionExternalId) AS account,
  -- region VARCHAR: The cloud region of the resource.
  vulnerableAsset.region AS region,
  -- first_detected TIMESTAMPTZ: When Wiz saw it on this resource first.
  firstDetectedAt AS first_detected,
  -- updated TIMESTAMPTZ: When a property or the status changed last.
  updatedAt AS updated,
  -- url VARCHAR: The finding's page in Wiz.
  portalUrl AS url,
  -- resource_id VARCHAR: Wiz's id of the resource; open_issues has the same.
  vulnerableAsset.id AS resource_id,
  -- id VARCHAR: The finding's own id.
  id,
  -- source VARCHAR: The name of the source.
  p_source_label AS source,
  -- source_id VARCHAR: The id of the source, as in p_source_id.
  p_source_id AS source_id
