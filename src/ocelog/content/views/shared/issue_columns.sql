  -- severity VARCHAR: INFORMATIONAL, LOW, MEDIUM, HIGH or CRITICAL.
  severity,
  -- age_days BIGINT: Whole days since the issue was opened first; in issues_at until t, in resolved_issues until
  --   resolved.
  floor((epoch(asked_at) - epoch(createdAt)) / 86400)::BIGINT AS age_days,
  -- resource VARCHAR: The name of the resource at risk.
  entitySnapshot.name AS resource,
  -- title VARCHAR: The name of the rule that opened the issue.
  coalesce(TRY(sourceRule->>'name'), TRY(sourceRules->0->>'name')) AS title,
  -- owners VARCHAR: The owners of its projects, by name or else by mail address.
  nullif(array_to_string(list_sort(list_distinct(flatten(list_transform(projects, lambda project:
    list_transform(project.projectOwners, lambda person: coalesce(person.name, person.email)))))), ', '), '') AS owners,
  -- projects VARCHAR: The names of the projects that the resource belongs to.
  nullif(array_to_string(list_sort(list_distinct(list_transform(projects, lambda project: project.name))), ', '), '')
    AS projects,
  -- status VARCHAR: OPEN or IN_PROGRESS; null if Wiz did not say. issues_at has RESOLVED and REJECTED too.
  status,
  -- due TIMESTAMPTZ: When the issue should be dealt with; null if the tenant sets no due date.
  dueAt AS due,
  -- assignee VARCHAR: Who the issue is assigned to, by name or else by mail address.
  coalesce(assignee.name, assignee.primaryEmail) AS assignee,
  -- business_impact VARCHAR: The highest impact of its projects: HBI, MBI or LBI.
  list_filter(['HBI', 'MBI', 'LBI'], lambda impact: list_contains(
    list_transform(projects, lambda project: TRY(project.riskProfile->>'businessImpact')), impact))[1] AS business_impact,
  -- type VARCHAR: The kind of risk, such as TOXIC_COMBINATION or THREAT_DETECTION.
  type,
  -- resource_type VARCHAR: Wiz's kind of resource, such as VIRTUAL_MACHINE.
  entitySnapshot.type AS resource_type,
  -- cloud VARCHAR: Where the resource runs, such as AWS.
  entitySnapshot.cloudPlatform AS cloud,
  -- account VARCHAR: The name of the account, subscription or cloud project, or else its id in the cloud.
  coalesce(nullif(entitySnapshot.subscriptionName, ''), entitySnapshot.subscriptionExternalId) AS account,
  -- region VARCHAR: The cloud region of the resource.
  entitySnapshot.region AS region,
  -- created TIMESTAMPTZ: When the issue was opened first.
  createdAt AS created,
  -- status_changed TIMESTAMPTZ: When its status changed last; null if it never did.
  statusChangedAt AS status_changed,
  -- updated TIMESTAMPTZ: When anything about it changed last.
  updatedAt AS updated,
  -- url VARCHAR: The issue's page in Wiz.
  url,
  -- resource_id VARCHAR: Wiz's id of the resource; open_findings has the same.
  entitySnapshot.id AS resource_id,
  -- id VARCHAR: The issue's own id.
  id,
  -- source VARCHAR: The name of the source.
  p_source_label AS source,
  -- source_id VARCHAR: The id of the source, as in p_source_id.
  p_source_id AS source_id
