-- The tables and views of this lake, for DuckDB 1.3 or newer: IMPORT DATABASE 'nowhere/lake/views';
-- Ocelog writes this file anew whenever the files of a table change: change nothing here. What has landed and is not
-- published yet is not in it. Import it again to see what was published since; the files that it names stay for at
-- least a day after that.
-- wiz_audit: nothing is published yet
-- wiz_issues: nothing is published yet
-- wiz_vulnerability_finding: nothing is published yet
-- rejections: nothing is published yet
-- definitions: 96c655e41ae22b13

CREATE OR REPLACE VIEW "wiz_audit" AS SELECT "id", "action", "requestId", "status", "timestamp", "actionParameters", "userAgent", "sourceIP", "serviceAccount", "user", "performer", "p_log_type", "p_schema_version", "p_row_id", "p_version", "p_event_time", "p_cursor_time", "p_version_time", "p_observed_at", "p_parse_time", "p_origin", "p_source_id", "p_source_label", "p_inferred", "p_any_ip_addresses", "p_any_emails", "p_any_usernames", "p_any_actor_ids", "p_extra" FROM (SELECT NULL::VARCHAR AS "id", NULL::VARCHAR AS "action", NULL::VARCHAR AS "requestId", NULL::VARCHAR AS "status", NULL::TIMESTAMPTZ AS "timestamp", NULL::VARCHAR AS "actionParameters", NULL::VARCHAR AS "userAgent", NULL::VARCHAR AS "sourceIP", NULL::STRUCT("id" VARCHAR, "name" VARCHAR) AS "serviceAccount", NULL::STRUCT("id" VARCHAR, "name" VARCHAR) AS "user", NULL::STRUCT("id" VARCHAR, "name" VARCHAR) AS "performer", NULL::VARCHAR AS "p_log_type", NULL::INTEGER AS "p_schema_version", NULL::VARCHAR AS "p_row_id", NULL::VARCHAR AS "p_version", NULL::TIMESTAMPTZ AS "p_event_time", NULL::TIMESTAMPTZ AS "p_cursor_time", NULL::TIMESTAMPTZ AS "p_version_time", NULL::TIMESTAMPTZ AS "p_observed_at", NULL::TIMESTAMPTZ AS "p_parse_time", NULL::VARCHAR AS "p_origin", NULL::VARCHAR AS "p_source_id", NULL::VARCHAR AS "p_source_label", NULL::VARCHAR AS "p_inferred", NULL::VARCHAR[] AS "p_any_ip_addresses", NULL::VARCHAR[] AS "p_any_emails", NULL::VARCHAR[] AS "p_any_usernames", NULL::VARCHAR[] AS "p_any_actor_ids", NULL::VARCHAR AS "p_extra", NULL::BIGINT AS "place in the files" WHERE false);

CREATE OR REPLACE VIEW "wiz_audit_current" AS SELECT "id", "action", "requestId", "status", "timestamp", "actionParameters", "userAgent", "sourceIP", "serviceAccount", "user", "performer", "p_log_type", "p_schema_version", "p_row_id", "p_version", "p_event_time", "p_cursor_time", "p_version_time", "p_observed_at", "p_parse_time", "p_origin", "p_source_id", "p_source_label", "p_inferred", "p_any_ip_addresses", "p_any_emails", "p_any_usernames", "p_any_actor_ids", "p_extra" FROM (SELECT NULL::VARCHAR AS "id", NULL::VARCHAR AS "action", NULL::VARCHAR AS "requestId", NULL::VARCHAR AS "status", NULL::TIMESTAMPTZ AS "timestamp", NULL::VARCHAR AS "actionParameters", NULL::VARCHAR AS "userAgent", NULL::VARCHAR AS "sourceIP", NULL::STRUCT("id" VARCHAR, "name" VARCHAR) AS "serviceAccount", NULL::STRUCT("id" VARCHAR, "name" VARCHAR) AS "user", NULL::STRUCT("id" VARCHAR, "name" VARCHAR) AS "performer", NULL::VARCHAR AS "p_log_type", NULL::INTEGER AS "p_schema_version", NULL::VARCHAR AS "p_row_id", NULL::VARCHAR AS "p_version", NULL::TIMESTAMPTZ AS "p_event_time", NULL::TIMESTAMPTZ AS "p_cursor_time", NULL::TIMESTAMPTZ AS "p_version_time", NULL::TIMESTAMPTZ AS "p_observed_at", NULL::TIMESTAMPTZ AS "p_parse_time", NULL::VARCHAR AS "p_origin", NULL::VARCHAR AS "p_source_id", NULL::VARCHAR AS "p_source_label", NULL::VARCHAR AS "p_inferred", NULL::VARCHAR[] AS "p_any_ip_addresses", NULL::VARCHAR[] AS "p_any_emails", NULL::VARCHAR[] AS "p_any_usernames", NULL::VARCHAR[] AS "p_any_actor_ids", NULL::VARCHAR AS "p_extra", NULL::BIGINT AS "place in the files" WHERE false) WHERE "place in the files" IN (SELECT arg_max("place in the files", ROW(coalesce(p_version_time, '-infinity'::TIMESTAMPTZ), coalesce(p_observed_at, '-infinity'::TIMESTAMPTZ), coalesce(p_row_id, ''))) FROM (SELECT NULL::VARCHAR AS "id", NULL::VARCHAR AS "action", NULL::VARCHAR AS "requestId", NULL::VARCHAR AS "status", NULL::TIMESTAMPTZ AS "timestamp", NULL::VARCHAR AS "actionParameters", NULL::VARCHAR AS "userAgent", NULL::VARCHAR AS "sourceIP", NULL::STRUCT("id" VARCHAR, "name" VARCHAR) AS "serviceAccount", NULL::STRUCT("id" VARCHAR, "name" VARCHAR) AS "user", NULL::STRUCT("id" VARCHAR, "name" VARCHAR) AS "performer", NULL::VARCHAR AS "p_log_type", NULL::INTEGER AS "p_schema_version", NULL::VARCHAR AS "p_row_id", NULL::VARCHAR AS "p_version", NULL::TIMESTAMPTZ AS "p_event_time", NULL::TIMESTAMPTZ AS "p_cursor_time", NULL::TIMESTAMPTZ AS "p_version_time", NULL::TIMESTAMPTZ AS "p_observed_at", NULL::TIMESTAMPTZ AS "p_parse_time", NULL::VARCHAR AS "p_origin", NULL::VARCHAR AS "p_source_id", NULL::VARCHAR AS "p_source_label", NULL::VARCHAR AS "p_inferred", NULL::VARCHAR[] AS "p_any_ip_addresses", NULL::VARCHAR[] AS "p_any_emails", NULL::VARCHAR[] AS "p_any_usernames", NULL::VARCHAR[] AS "p_any_actor_ids", NULL::VARCHAR AS "p_extra", NULL::BIGINT AS "place in the files" WHERE false) GROUP BY p_source_id, id);

CREATE OR REPLACE VIEW "wiz_issues" AS SELECT "id", "sourceRule", "updatedAt", "statusChangedAt", "createdAt", "dueAt", "type", "resolvedAt", "projects", "status", "severity", "entitySnapshot", "serviceTickets", "notes", "sourceRules", "url", "assignee", "openReason", "resolutionReason", "resolutionNote", "resolvedBy", "rejectionExpiredAt", "p_log_type", "p_schema_version", "p_row_id", "p_version", "p_event_time", "p_cursor_time", "p_version_time", "p_observed_at", "p_parse_time", "p_origin", "p_source_id", "p_source_label", "p_inferred", "p_any_ip_addresses", "p_any_domain_names", "p_any_emails", "p_any_usernames", "p_any_actor_ids", "p_any_aws_arns", "p_any_aws_account_ids", "p_any_aws_instance_ids", "p_extra" FROM (SELECT NULL::VARCHAR AS "id", NULL::VARCHAR AS "sourceRule", NULL::TIMESTAMPTZ AS "updatedAt", NULL::TIMESTAMPTZ AS "statusChangedAt", NULL::TIMESTAMPTZ AS "createdAt", NULL::TIMESTAMPTZ AS "dueAt", NULL::VARCHAR AS "type", NULL::TIMESTAMPTZ AS "resolvedAt", NULL::STRUCT("id" VARCHAR, "name" VARCHAR, "slug" VARCHAR, "businessUnit" VARCHAR, "riskProfile" VARCHAR, "projectOwners" STRUCT("id" VARCHAR, "name" VARCHAR, "email" VARCHAR)[])[] AS "projects", NULL::VARCHAR AS "status", NULL::VARCHAR AS "severity", NULL::STRUCT("id" VARCHAR, "type" VARCHAR, "nativeType" VARCHAR, "name" VARCHAR, "status" VARCHAR, "cloudPlatform" VARCHAR, "cloudProviderURL" VARCHAR, "providerId" VARCHAR, "region" VARCHAR, "resourceGroupExternalId" VARCHAR, "subscriptionExternalId" VARCHAR, "subscriptionName" VARCHAR, "subscriptionTags" VARCHAR, "tags" VARCHAR, "externalId" VARCHAR, "createdAt" TIMESTAMPTZ) AS "entitySnapshot", NULL::VARCHAR AS "serviceTickets", NULL::VARCHAR AS "notes", NULL::VARCHAR AS "sourceRules", NULL::VARCHAR AS "url", NULL::STRUCT("id" VARCHAR, "name" VARCHAR, "primaryEmail" VARCHAR) AS "assignee", NULL::VARCHAR AS "openReason", NULL::VARCHAR AS "resolutionReason", NULL::VARCHAR AS "resolutionNote", NULL::STRUCT("type" VARCHAR, "user" STRUCT("id" VARCHAR, "name" VARCHAR, "email" VARCHAR), "serviceAccount" STRUCT("id" VARCHAR, "name" VARCHAR)) AS "resolvedBy", NULL::TIMESTAMPTZ AS "rejectionExpiredAt", NULL::VARCHAR AS "p_log_type", NULL::INTEGER AS "p_schema_version", NULL::VARCHAR AS "p_row_id", NULL::VARCHAR AS "p_version", NULL::TIMESTAMPTZ AS "p_event_time", NULL::TIMESTAMPTZ AS "p_cursor_time", NULL::TIMESTAMPTZ AS "p_version_time", NULL::TIMESTAMPTZ AS "p_observed_at", NULL::TIMESTAMPTZ AS "p_parse_time", NULL::VARCHAR AS "p_origin", NULL::VARCHAR AS "p_source_id", NULL::VARCHAR AS "p_source_label", NULL::VARCHAR AS "p_inferred", NULL::VARCHAR[] AS "p_any_ip_addresses", NULL::VARCHAR[] AS "p_any_domain_names", NULL::VARCHAR[] AS "p_any_emails", NULL::VARCHAR[] AS "p_any_usernames", NULL::VARCHAR[] AS "p_any_actor_ids", NULL::VARCHAR[] AS "p_any_aws_arns", NULL::VARCHAR[] AS "p_any_aws_account_ids", NULL::VARCHAR[] AS "p_any_aws_instance_ids", NULL::VARCHAR AS "p_extra", NULL::BIGINT AS "place in the files" WHERE false);

CREATE OR REPLACE VIEW "wiz_issues_current" AS SELECT "id", "sourceRule", "updatedAt", "statusChangedAt", "createdAt", "dueAt", "type", "resolvedAt", "projects", "status", "severity", "entitySnapshot", "serviceTickets", "notes", "sourceRules", "url", "assignee", "openReason", "resolutionReason", "resolutionNote", "resolvedBy", "rejectionExpiredAt", "p_log_type", "p_schema_version", "p_row_id", "p_version", "p_event_time", "p_cursor_time", "p_version_time", "p_observed_at", "p_parse_time", "p_origin", "p_source_id", "p_source_label", "p_inferred", "p_any_ip_addresses", "p_any_domain_names", "p_any_emails", "p_any_usernames", "p_any_actor_ids", "p_any_aws_arns", "p_any_aws_account_ids", "p_any_aws_instance_ids", "p_extra" FROM (SELECT NULL::VARCHAR AS "id", NULL::VARCHAR AS "sourceRule", NULL::TIMESTAMPTZ AS "updatedAt", NULL::TIMESTAMPTZ AS "statusChangedAt", NULL::TIMESTAMPTZ AS "createdAt", NULL::TIMESTAMPTZ AS "dueAt", NULL::VARCHAR AS "type", NULL::TIMESTAMPTZ AS "resolvedAt", NULL::STRUCT("id" VARCHAR, "name" VARCHAR, "slug" VARCHAR, "businessUnit" VARCHAR, "riskProfile" VARCHAR, "projectOwners" STRUCT("id" VARCHAR, "name" VARCHAR, "email" VARCHAR)[])[] AS "projects", NULL::VARCHAR AS "status", NULL::VARCHAR AS "severity", NULL::STRUCT("id" VARCHAR, "type" VARCHAR, "nativeType" VARCHAR, "name" VARCHAR, "status" VARCHAR, "cloudPlatform" VARCHAR, "cloudProviderURL" VARCHAR, "providerId" VARCHAR, "region" VARCHAR, "resourceGroupExternalId" VARCHAR, "subscriptionExternalId" VARCHAR, "subscriptionName" VARCHAR, "subscriptionTags" VARCHAR, "tags" VARCHAR, "externalId" VARCHAR, "createdAt" TIMESTAMPTZ) AS "entitySnapshot", NULL::VARCHAR AS "serviceTickets", NULL::VARCHAR AS "notes", NULL::VARCHAR AS "sourceRules", NULL::VARCHAR AS "url", NULL::STRUCT("id" VARCHAR, "name" VARCHAR, "primaryEmail" VARCHAR) AS "assignee", NULL::VARCHAR AS "openReason", NULL::VARCHAR AS "resolutionReason", NULL::VARCHAR AS "resolutionNote", NULL::STRUCT("type" VARCHAR, "user" STRUCT("id" VARCHAR, "name" VARCHAR, "email" VARCHAR), "serviceAccount" STRUCT("id" VARCHAR, "name" VARCHAR)) AS "resolvedBy", NULL::TIMESTAMPTZ AS "rejectionExpiredAt", NULL::VARCHAR AS "p_log_type", NULL::INTEGER AS "p_schema_version", NULL::VARCHAR AS "p_row_id", NULL::VARCHAR AS "p_version", NULL::TIMESTAMPTZ AS "p_event_time", NULL::TIMESTAMPTZ AS "p_cursor_time", NULL::TIMESTAMPTZ AS "p_version_time", NULL::TIMESTAMPTZ AS "p_observed_at", NULL::TIMESTAMPTZ AS "p_parse_time", NULL::VARCHAR AS "p_origin", NULL::VARCHAR AS "p_source_id", NULL::VARCHAR AS "p_source_label", NULL::VARCHAR AS "p_inferred", NULL::VARCHAR[] AS "p_any_ip_addresses", NULL::VARCHAR[] AS "p_any_domain_names", NULL::VARCHAR[] AS "p_any_emails", NULL::VARCHAR[] AS "p_any_usernames", NULL::VARCHAR[] AS "p_any_actor_ids", NULL::VARCHAR[] AS "p_any_aws_arns", NULL::VARCHAR[] AS "p_any_aws_account_ids", NULL::VARCHAR[] AS "p_any_aws_instance_ids", NULL::VARCHAR AS "p_extra", NULL::BIGINT AS "place in the files" WHERE false) WHERE "place in the files" IN (SELECT arg_max("place in the files", ROW(coalesce(p_version_time, '-infinity'::TIMESTAMPTZ), coalesce(p_observed_at, '-infinity'::TIMESTAMPTZ), coalesce(p_row_id, ''))) FROM (SELECT NULL::VARCHAR AS "id", NULL::VARCHAR AS "sourceRule", NULL::TIMESTAMPTZ AS "updatedAt", NULL::TIMESTAMPTZ AS "statusChangedAt", NULL::TIMESTAMPTZ AS "createdAt", NULL::TIMESTAMPTZ AS "dueAt", NULL::VARCHAR AS "type", NULL::TIMESTAMPTZ AS "resolvedAt", NULL::STRUCT("id" VARCHAR, "name" VARCHAR, "slug" VARCHAR, "businessUnit" VARCHAR, "riskProfile" VARCHAR, "projectOwners" STRUCT("id" VARCHAR, "name" VARCHAR, "email" VARCHAR)[])[] AS "projects", NULL::VARCHAR AS "status", NULL::VARCHAR AS "severity", NULL::STRUCT("id" VARCHAR, "type" VARCHAR, "nativeType" VARCHAR, "name" VARCHAR, "status" VARCHAR, "cloudPlatform" VARCHAR, "cloudProviderURL" VARCHAR, "providerId" VARCHAR, "region" VARCHAR, "resourceGroupExternalId" VARCHAR, "subscriptionExternalId" VARCHAR, "subscriptionName" VARCHAR, "subscriptionTags" VARCHAR, "tags" VARCHAR, "externalId" VARCHAR, "createdAt" TIMESTAMPTZ) AS "entitySnapshot", NULL::VARCHAR AS "serviceTickets", NULL::VARCHAR AS "notes", NULL::VARCHAR AS "sourceRules", NULL::VARCHAR AS "url", NULL::STRUCT("id" VARCHAR, "name" VARCHAR, "primaryEmail" VARCHAR) AS "assignee", NULL::VARCHAR AS "openReason", NULL::VARCHAR AS "resolutionReason", NULL::VARCHAR AS "resolutionNote", NULL::STRUCT("type" VARCHAR, "user" STRUCT("id" VARCHAR, "name" VARCHAR, "email" VARCHAR), "serviceAccount" STRUCT("id" VARCHAR, "name" VARCHAR)) AS "resolvedBy", NULL::TIMESTAMPTZ AS "rejectionExpiredAt", NULL::VARCHAR AS "p_log_type", NULL::INTEGER AS "p_schema_version", NULL::VARCHAR AS "p_row_id", NULL::VARCHAR AS "p_version", NULL::TIMESTAMPTZ AS "p_event_time", NULL::TIMESTAMPTZ AS "p_cursor_time", NULL::TIMESTAMPTZ AS "p_version_time", NULL::TIMESTAMPTZ AS "p_observed_at", NULL::TIMESTAMPTZ AS "p_parse_time", NULL::VARCHAR AS "p_origin", NULL::VARCHAR AS "p_source_id", NULL::VARCHAR AS "p_source_label", NULL::VARCHAR AS "p_inferred", NULL::VARCHAR[] AS "p_any_ip_addresses", NULL::VARCHAR[] AS "p_any_domain_names", NULL::VARCHAR[] AS "p_any_emails", NULL::VARCHAR[] AS "p_any_usernames", NULL::VARCHAR[] AS "p_any_actor_ids", NULL::VARCHAR[] AS "p_any_aws_arns", NULL::VARCHAR[] AS "p_any_aws_account_ids", NULL::VARCHAR[] AS "p_any_aws_instance_ids", NULL::VARCHAR AS "p_extra", NULL::BIGINT AS "place in the files" WHERE false) GROUP BY p_source_id, id);

CREATE OR REPLACE VIEW "wiz_vulnerability_finding" AS SELECT "id", "portalUrl", "name", "CVEDescription", "CVSSSeverity", "score", "exploitabilityScore", "impactScore", "dataSourceName", "hasExploit", "hasCisaKevExploit", "status", "vendorSeverity", "updatedAt", "lastDetectedAt", "firstDetectedAt", "resolvedAt", "description", "remediation", "detailedName", "version", "fixedVersion", "detectionMethod", "link", "locationPath", "resolutionReason", "epssSeverity", "epssPercentile", "epssProbability", "validatedInRuntime", "layerMetadata", "projects", "ignoreRules", "vulnerableAsset", "severity", "cisaKevReleaseDate", "cisaKevDueDate", "p_log_type", "p_schema_version", "p_row_id", "p_version", "p_event_time", "p_cursor_time", "p_version_time", "p_observed_at", "p_parse_time", "p_origin", "p_source_id", "p_source_label", "p_inferred", "p_any_ip_addresses", "p_any_domain_names", "p_any_aws_arns", "p_any_aws_account_ids", "p_any_aws_instance_ids", "p_extra" FROM (SELECT NULL::VARCHAR AS "id", NULL::VARCHAR AS "portalUrl", NULL::VARCHAR AS "name", NULL::VARCHAR AS "CVEDescription", NULL::VARCHAR AS "CVSSSeverity", NULL::DOUBLE AS "score", NULL::DOUBLE AS "exploitabilityScore", NULL::DOUBLE AS "impactScore", NULL::VARCHAR AS "dataSourceName", NULL::BOOLEAN AS "hasExploit", NULL::BOOLEAN AS "hasCisaKevExploit", NULL::VARCHAR AS "status", NULL::VARCHAR AS "vendorSeverity", NULL::TIMESTAMPTZ AS "updatedAt", NULL::TIMESTAMPTZ AS "lastDetectedAt", NULL::TIMESTAMPTZ AS "firstDetectedAt", NULL::TIMESTAMPTZ AS "resolvedAt", NULL::VARCHAR AS "description", NULL::VARCHAR AS "remediation", NULL::VARCHAR AS "detailedName", NULL::VARCHAR AS "version", NULL::VARCHAR AS "fixedVersion", NULL::VARCHAR AS "detectionMethod", NULL::VARCHAR AS "link", NULL::VARCHAR AS "locationPath", NULL::VARCHAR AS "resolutionReason", NULL::VARCHAR AS "epssSeverity", NULL::DOUBLE AS "epssPercentile", NULL::DOUBLE AS "epssProbability", NULL::VARCHAR AS "validatedInRuntime", NULL::VARCHAR AS "layerMetadata", NULL::STRUCT("id" VARCHAR, "name" VARCHAR, "slug" VARCHAR, "businessUnit" VARCHAR, "riskProfile" VARCHAR, "projectOwners" STRUCT("id" VARCHAR, "name" VARCHAR, "email" VARCHAR)[])[] AS "projects", NULL::VARCHAR AS "ignoreRules", NULL::STRUCT("id" VARCHAR, "type" VARCHAR, "name" VARCHAR, "region" VARCHAR, "providerUniqueId" VARCHAR, "cloudProviderURL" VARCHAR, "cloudPlatform" VARCHAR, "status" VARCHAR, "subscriptionName" VARCHAR, "subscriptionExternalId" VARCHAR, "subscriptionId" VARCHAR, "tags" VARCHAR, "hasLimitedInternetExposure" BOOLEAN, "hasWideInternetExposure" BOOLEAN, "isAccessibleFromVPN" BOOLEAN, "isAccessibleFromOtherVnets" BOOLEAN, "isAccessibleFromOtherSubscriptions" BOOLEAN, "operatingSystem" VARCHAR, "ipAddresses" VARCHAR[]) AS "vulnerableAsset", NULL::VARCHAR AS "severity", NULL::TIMESTAMPTZ AS "cisaKevReleaseDate", NULL::TIMESTAMPTZ AS "cisaKevDueDate", NULL::VARCHAR AS "p_log_type", NULL::INTEGER AS "p_schema_version", NULL::VARCHAR AS "p_row_id", NULL::VARCHAR AS "p_version", NULL::TIMESTAMPTZ AS "p_event_time", NULL::TIMESTAMPTZ AS "p_cursor_time", NULL::TIMESTAMPTZ AS "p_version_time", NULL::TIMESTAMPTZ AS "p_observed_at", NULL::TIMESTAMPTZ AS "p_parse_time", NULL::VARCHAR AS "p_origin", NULL::VARCHAR AS "p_source_id", NULL::VARCHAR AS "p_source_label", NULL::VARCHAR AS "p_inferred", NULL::VARCHAR[] AS "p_any_ip_addresses", NULL::VARCHAR[] AS "p_any_domain_names", NULL::VARCHAR[] AS "p_any_aws_arns", NULL::VARCHAR[] AS "p_any_aws_account_ids", NULL::VARCHAR[] AS "p_any_aws_instance_ids", NULL::VARCHAR AS "p_extra", NULL::BIGINT AS "place in the files" WHERE false);

CREATE OR REPLACE VIEW "wiz_vulnerability_finding_current" AS SELECT "id", "portalUrl", "name", "CVEDescription", "CVSSSeverity", "score", "exploitabilityScore", "impactScore", "dataSourceName", "hasExploit", "hasCisaKevExploit", "status", "vendorSeverity", "updatedAt", "lastDetectedAt", "firstDetectedAt", "resolvedAt", "description", "remediation", "detailedName", "version", "fixedVersion", "detectionMethod", "link", "locationPath", "resolutionReason", "epssSeverity", "epssPercentile", "epssProbability", "validatedInRuntime", "layerMetadata", "projects", "ignoreRules", "vulnerableAsset", "severity", "cisaKevReleaseDate", "cisaKevDueDate", "p_log_type", "p_schema_version", "p_row_id", "p_version", "p_event_time", "p_cursor_time", "p_version_time", "p_observed_at", "p_parse_time", "p_origin", "p_source_id", "p_source_label", "p_inferred", "p_any_ip_addresses", "p_any_domain_names", "p_any_aws_arns", "p_any_aws_account_ids", "p_any_aws_instance_ids", "p_extra" FROM (SELECT NULL::VARCHAR AS "id", NULL::VARCHAR AS "portalUrl", NULL::VARCHAR AS "name", NULL::VARCHAR AS "CVEDescription", NULL::VARCHAR AS "CVSSSeverity", NULL::DOUBLE AS "score", NULL::DOUBLE AS "exploitabilityScore", NULL::DOUBLE AS "impactScore", NULL::VARCHAR AS "dataSourceName", NULL::BOOLEAN AS "hasExploit", NULL::BOOLEAN AS "hasCisaKevExploit", NULL::VARCHAR AS "status", NULL::VARCHAR AS "vendorSeverity", NULL::TIMESTAMPTZ AS "updatedAt", NULL::TIMESTAMPTZ AS "lastDetectedAt", NULL::TIMESTAMPTZ AS "firstDetectedAt", NULL::TIMESTAMPTZ AS "resolvedAt", NULL::VARCHAR AS "description", NULL::VARCHAR AS "remediation", NULL::VARCHAR AS "detailedName", NULL::VARCHAR AS "version", NULL::VARCHAR AS "fixedVersion", NULL::VARCHAR AS "detectionMethod", NULL::VARCHAR AS "link", NULL::VARCHAR AS "locationPath", NULL::VARCHAR AS "resolutionReason", NULL::VARCHAR AS "epssSeverity", NULL::DOUBLE AS "epssPercentile", NULL::DOUBLE AS "epssProbability", NULL::VARCHAR AS "validatedInRuntime", NULL::VARCHAR AS "layerMetadata", NULL::STRUCT("id" VARCHAR, "name" VARCHAR, "slug" VARCHAR, "businessUnit" VARCHAR, "riskProfile" VARCHAR, "projectOwners" STRUCT("id" VARCHAR, "name" VARCHAR, "email" VARCHAR)[])[] AS "projects", NULL::VARCHAR AS "ignoreRules", NULL::STRUCT("id" VARCHAR, "type" VARCHAR, "name" VARCHAR, "region" VARCHAR, "providerUniqueId" VARCHAR, "cloudProviderURL" VARCHAR, "cloudPlatform" VARCHAR, "status" VARCHAR, "subscriptionName" VARCHAR, "subscriptionExternalId" VARCHAR, "subscriptionId" VARCHAR, "tags" VARCHAR, "hasLimitedInternetExposure" BOOLEAN, "hasWideInternetExposure" BOOLEAN, "isAccessibleFromVPN" BOOLEAN, "isAccessibleFromOtherVnets" BOOLEAN, "isAccessibleFromOtherSubscriptions" BOOLEAN, "operatingSystem" VARCHAR, "ipAddresses" VARCHAR[]) AS "vulnerableAsset", NULL::VARCHAR AS "severity", NULL::TIMESTAMPTZ AS "cisaKevReleaseDate", NULL::TIMESTAMPTZ AS "cisaKevDueDate", NULL::VARCHAR AS "p_log_type", NULL::INTEGER AS "p_schema_version", NULL::VARCHAR AS "p_row_id", NULL::VARCHAR AS "p_version", NULL::TIMESTAMPTZ AS "p_event_time", NULL::TIMESTAMPTZ AS "p_cursor_time", NULL::TIMESTAMPTZ AS "p_version_time", NULL::TIMESTAMPTZ AS "p_observed_at", NULL::TIMESTAMPTZ AS "p_parse_time", NULL::VARCHAR AS "p_origin", NULL::VARCHAR AS "p_source_id", NULL::VARCHAR AS "p_source_label", NULL::VARCHAR AS "p_inferred", NULL::VARCHAR[] AS "p_any_ip_addresses", NULL::VARCHAR[] AS "p_any_domain_names", NULL::VARCHAR[] AS "p_any_aws_arns", NULL::VARCHAR[] AS "p_any_aws_account_ids", NULL::VARCHAR[] AS "p_any_aws_instance_ids", NULL::VARCHAR AS "p_extra", NULL::BIGINT AS "place in the files" WHERE false) WHERE "place in the files" IN (SELECT arg_max("place in the files", ROW(coalesce(p_version_time, '-infinity'::TIMESTAMPTZ), coalesce(p_observed_at, '-infinity'::TIMESTAMPTZ), coalesce(p_row_id, ''))) FROM (SELECT NULL::VARCHAR AS "id", NULL::VARCHAR AS "portalUrl", NULL::VARCHAR AS "name", NULL::VARCHAR AS "CVEDescription", NULL::VARCHAR AS "CVSSSeverity", NULL::DOUBLE AS "score", NULL::DOUBLE AS "exploitabilityScore", NULL::DOUBLE AS "impactScore", NULL::VARCHAR AS "dataSourceName", NULL::BOOLEAN AS "hasExploit", NULL::BOOLEAN AS "hasCisaKevExploit", NULL::VARCHAR AS "status", NULL::VARCHAR AS "vendorSeverity", NULL::TIMESTAMPTZ AS "updatedAt", NULL::TIMESTAMPTZ AS "lastDetectedAt", NULL::TIMESTAMPTZ AS "firstDetectedAt", NULL::TIMESTAMPTZ AS "resolvedAt", NULL::VARCHAR AS "description", NULL::VARCHAR AS "remediation", NULL::VARCHAR AS "detailedName", NULL::VARCHAR AS "version", NULL::VARCHAR AS "fixedVersion", NULL::VARCHAR AS "detectionMethod", NULL::VARCHAR AS "link", NULL::VARCHAR AS "locationPath", NULL::VARCHAR AS "resolutionReason", NULL::VARCHAR AS "epssSeverity", NULL::DOUBLE AS "epssPercentile", NULL::DOUBLE AS "epssProbability", NULL::VARCHAR AS "validatedInRuntime", NULL::VARCHAR AS "layerMetadata", NULL::STRUCT("id" VARCHAR, "name" VARCHAR, "slug" VARCHAR, "businessUnit" VARCHAR, "riskProfile" VARCHAR, "projectOwners" STRUCT("id" VARCHAR, "name" VARCHAR, "email" VARCHAR)[])[] AS "projects", NULL::VARCHAR AS "ignoreRules", NULL::STRUCT("id" VARCHAR, "type" VARCHAR, "name" VARCHAR, "region" VARCHAR, "providerUniqueId" VARCHAR, "cloudProviderURL" VARCHAR, "cloudPlatform" VARCHAR, "status" VARCHAR, "subscriptionName" VARCHAR, "subscriptionExternalId" VARCHAR, "subscriptionId" VARCHAR, "tags" VARCHAR, "hasLimitedInternetExposure" BOOLEAN, "hasWideInternetExposure" BOOLEAN, "isAccessibleFromVPN" BOOLEAN, "isAccessibleFromOtherVnets" BOOLEAN, "isAccessibleFromOtherSubscriptions" BOOLEAN, "operatingSystem" VARCHAR, "ipAddresses" VARCHAR[]) AS "vulnerableAsset", NULL::VARCHAR AS "severity", NULL::TIMESTAMPTZ AS "cisaKevReleaseDate", NULL::TIMESTAMPTZ AS "cisaKevDueDate", NULL::VARCHAR AS "p_log_type", NULL::INTEGER AS "p_schema_version", NULL::VARCHAR AS "p_row_id", NULL::VARCHAR AS "p_version", NULL::TIMESTAMPTZ AS "p_event_time", NULL::TIMESTAMPTZ AS "p_cursor_time", NULL::TIMESTAMPTZ AS "p_version_time", NULL::TIMESTAMPTZ AS "p_observed_at", NULL::TIMESTAMPTZ AS "p_parse_time", NULL::VARCHAR AS "p_origin", NULL::VARCHAR AS "p_source_id", NULL::VARCHAR AS "p_source_label", NULL::VARCHAR AS "p_inferred", NULL::VARCHAR[] AS "p_any_ip_addresses", NULL::VARCHAR[] AS "p_any_domain_names", NULL::VARCHAR[] AS "p_any_aws_arns", NULL::VARCHAR[] AS "p_any_aws_account_ids", NULL::VARCHAR[] AS "p_any_aws_instance_ids", NULL::VARCHAR AS "p_extra", NULL::BIGINT AS "place in the files" WHERE false) GROUP BY p_source_id, id);

CREATE OR REPLACE VIEW "rejections" AS SELECT "p_row_id", "p_log_type", "p_source_id", "p_source_label", "p_origin", "p_event_time", "p_cursor_time", "p_observed_at", "p_parse_time", "record_id", "path", "expected", "found", "raw", "raw_encoding", "unknown_fields" FROM (SELECT NULL::VARCHAR AS "p_row_id", NULL::VARCHAR AS "p_log_type", NULL::VARCHAR AS "p_source_id", NULL::VARCHAR AS "p_source_label", NULL::VARCHAR AS "p_origin", NULL::TIMESTAMPTZ AS "p_event_time", NULL::TIMESTAMPTZ AS "p_cursor_time", NULL::TIMESTAMPTZ AS "p_observed_at", NULL::TIMESTAMPTZ AS "p_parse_time", NULL::VARCHAR AS "record_id", NULL::VARCHAR AS "path", NULL::VARCHAR AS "expected", NULL::VARCHAR AS "found", NULL::VARCHAR AS "raw", NULL::VARCHAR AS "raw_encoding", NULL::VARCHAR[] AS "unknown_fields", NULL::BIGINT AS "place in the files" WHERE false);

CREATE OR REPLACE VIEW "all_logs" AS SELECT "p_log_type", "p_schema_version", "p_row_id", "p_version", "p_event_time", "p_cursor_time", "p_version_time", "p_observed_at", "p_parse_time", "p_origin", "p_source_id", "p_source_label", "p_inferred", "p_any_ip_addresses", "p_any_emails", "p_any_usernames", "p_any_actor_ids", "p_extra" FROM "wiz_audit" UNION ALL BY NAME SELECT "p_log_type", "p_schema_version", "p_row_id", "p_version", "p_event_time", "p_cursor_time", "p_version_time", "p_observed_at", "p_parse_time", "p_origin", "p_source_id", "p_source_label", "p_inferred", "p_any_ip_addresses", "p_any_domain_names", "p_any_emails", "p_any_usernames", "p_any_actor_ids", "p_any_aws_arns", "p_any_aws_account_ids", "p_any_aws_instance_ids", "p_extra" FROM "wiz_issues" UNION ALL BY NAME SELECT "p_log_type", "p_schema_version", "p_row_id", "p_version", "p_event_time", "p_cursor_time", "p_version_time", "p_observed_at", "p_parse_time", "p_origin", "p_source_id", "p_source_label", "p_inferred", "p_any_ip_addresses", "p_any_domain_names", "p_any_aws_arns", "p_any_aws_account_ids", "p_any_aws_instance_ids", "p_extra" FROM "wiz_vulnerability_finding";

CREATE OR REPLACE VIEW "open_findings" AS SELECT
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
FROM wiz_vulnerability_finding_current, (SELECT now() AS asked_at)
WHERE p_inferred IS NULL AND (status IS NULL OR status NOT IN ('RESOLVED', 'REJECTED'));

CREATE OR REPLACE VIEW "open_issues" AS SELECT
  -- severity VARCHAR: INFORMATIONAL, LOW, MEDIUM, HIGH or CRITICAL.
  severity,
  -- age_days BIGINT: Whole days since the issue was opened first; in issues_at, until t.
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
FROM wiz_issues_current, (SELECT now() AS asked_at)
WHERE p_inferred IS NULL AND (status IS NULL OR status NOT IN ('RESOLVED', 'REJECTED'));

CREATE OR REPLACE VIEW "resolved_findings" AS SELECT
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
);

CREATE OR REPLACE MACRO "findings_at"(t) AS TABLE WITH versions AS (
  SELECT p_source_id, id, p_row_id, p_version_time, p_observed_at, p_inferred,
    CASE WHEN status = 'RESOLVED' THEN resolvedAt END AS status_time,
    row_number() OVER record AS place,
    lag(p_version_time) OVER record AS time_before,
    lag(p_observed_at) OVER record AS observed_before
  FROM wiz_vulnerability_finding
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
    arg_max(p_row_id, place) FILTER (WHERE status_since <= t::TIMESTAMPTZ) AS recorded,
    arg_max(since, place) FILTER (WHERE status_since <= t::TIMESTAMPTZ) AS recorded_since,
    arg_min(p_row_id, place) AS earliest,
    min(p_observed_at) AS first_seen
  FROM told
  GROUP BY p_source_id, id
),
-- Of a record without a version from then, the earliest one: its dates say something about the time before it.
dated AS (
  SELECT finding.*, first_seen, t::TIMESTAMPTZ AS asked_at,
    CASE
      WHEN p_inferred IS NOT NULL THEN if(recorded IS NULL, 'unknown', 'gone')
      WHEN recorded_since > t::TIMESTAMPTZ THEN 'dated'
      WHEN recorded IS NOT NULL
        AND (status = 'RESOLVED' AND resolvedAt > t::TIMESTAMPTZ AND p_observed_at > t::TIMESTAMPTZ) IS NOT TRUE THEN 'recorded'
      WHEN firstDetectedAt IS NULL OR status IS NULL THEN 'unknown'
      WHEN status = 'RESOLVED' AND resolvedAt <= t::TIMESTAMPTZ THEN 'dated'
      WHEN status IN ('OPEN', 'IN_PROGRESS') OR (status = 'RESOLVED' AND resolvedAt > t::TIMESTAMPTZ) THEN 'assumed'
      ELSE 'unknown'
    END AS certainty
  FROM wiz_vulnerability_finding AS finding
  JOIN chosen ON finding.p_row_id = coalesce(recorded, earliest)
  WHERE recorded IS NOT NULL OR firstDetectedAt IS NULL OR firstDetectedAt <= t::TIMESTAMPTZ
)
SELECT
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
  p_source_id AS source_id,
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
);

CREATE OR REPLACE VIEW "findings_at" AS SELECT * FROM "findings_at"(now());

CREATE OR REPLACE MACRO "issues_at"(t) AS TABLE WITH versions AS (
  SELECT p_source_id, id, p_row_id, p_version_time, p_observed_at, p_inferred,
    coalesce(statusChangedAt, resolvedAt) AS status_time,
    row_number() OVER record AS place,
    lag(p_version_time) OVER record AS time_before,
    lag(p_observed_at) OVER record AS observed_before
  FROM wiz_issues
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
    arg_max(p_row_id, place) FILTER (WHERE status_since <= t::TIMESTAMPTZ) AS recorded,
    arg_max(since, place) FILTER (WHERE status_since <= t::TIMESTAMPTZ) AS recorded_since,
    arg_min(p_row_id, place) AS earliest,
    min(p_observed_at) AS first_seen
  FROM told
  GROUP BY p_source_id, id
),
-- Of a record without a version from then, the earliest one: its dates say something about the time before it.
dated AS (
  SELECT issue.*, first_seen, t::TIMESTAMPTZ AS asked_at,
    CASE
      WHEN p_inferred IS NOT NULL THEN if(recorded IS NULL, 'unknown', 'gone')
      WHEN recorded_since > t::TIMESTAMPTZ THEN 'dated'
      WHEN recorded IS NOT NULL
        AND (coalesce(statusChangedAt, resolvedAt) > t::TIMESTAMPTZ AND p_observed_at > t::TIMESTAMPTZ) IS NOT TRUE THEN 'recorded'
      WHEN createdAt IS NULL OR status IS NULL THEN 'unknown'
      WHEN coalesce(statusChangedAt, resolvedAt) <= t::TIMESTAMPTZ THEN 'dated'
      WHEN statusChangedAt IS NULL AND status = 'OPEN' THEN 'dated'
      WHEN status = 'OPEN' OR coalesce(statusChangedAt, resolvedAt) IS NULL THEN 'unknown'
      ELSE 'assumed'
    END AS certainty
  FROM wiz_issues AS issue
  JOIN chosen ON issue.p_row_id = coalesce(recorded, earliest)
  WHERE recorded IS NOT NULL OR createdAt IS NULL OR createdAt <= t::TIMESTAMPTZ
)
SELECT
  -- severity VARCHAR: INFORMATIONAL, LOW, MEDIUM, HIGH or CRITICAL.
  severity,
  -- age_days BIGINT: Whole days since the issue was opened first; in issues_at, until t.
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
  p_source_id AS source_id,
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
);

CREATE OR REPLACE VIEW "issues_at" AS SELECT * FROM "issues_at"(now());
