"""What kind of error stopped a stream: by its stable code, no longer by the name of its class."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"

_CODES = {
    "OcelogError": "unexpected",
    "ChannelRefusedError": "channel_refused",
    "ConfigError": "config_invalid",
    "HomeError": "home_unfit",
    "LakeDamagedError": "lake_damaged",
    "QueryError": "query_invalid",
    "RuleFileError": "rule_file_invalid",
    "SandboxError": "sandbox_failed",
    "SchemaError": "schema_invalid",
    "SignInRefusedError": "sign_in_refused",
    "ChannelUnavailableError": "channel_unavailable",
    "LakeUnavailableError": "lake_unavailable",
    "LedgerUnavailableError": "ledger_unavailable",
    "LostFenceError": "overtaken",
    "QueryBusyError": "query_busy",
    "RemoteUnavailableError": "remote_unavailable",
    "SourceThrottledError": "rate_limited",
    "SourceUnavailableError": "source_unavailable",
    "HaltError": "stream_stopped",
    "AccessRefusedError": "access_refused",
    "ContractBrokenError": "contract_broken",
}


def upgrade() -> None:
    """Put codes in the place of names."""
    streams = sa.table("streams", sa.column("trouble_kind", sa.Text()))
    for name, code in _CODES.items():
        op.execute(streams.update().where(streams.c.trouble_kind == name).values(trouble_kind=code))
