"""Settings: `FULLCOUNT_*` variables and `.env`, read once by a door and handed down."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Everything an operator may set; docs/settings.md tells each in a line.

    Source: docs/settings.md
    """

    model_config = SettingsConfigDict(
        env_prefix="FULLCOUNT_", env_file=".env", extra="ignore", frozen=True
    )

    database_url: str = "sqlite:///./fullcount.db"
    public_url: str = "http://127.0.0.1:8000"
    secret: str = ""
    cors_origins: str = ""
    log_format: str = "console"
    outbound_allow: str = ""

    limit_url_bytes: int = Field(default=16 * 1024, gt=0)
    limit_header_bytes: int = Field(default=32 * 1024, gt=0)
    limit_headers: int = Field(default=100, gt=0)
    limit_failed_keys_per_min: int = Field(default=20, gt=0)
    limit_body_bytes: int = Field(default=2 * 1024 * 1024, gt=0)
    limit_body_unpacked_bytes: int = Field(default=10 * 1024 * 1024, gt=0)
    limit_body_ratio: int = Field(default=20, gt=0)
    limit_json_depth: int = Field(default=16, gt=0)
    limit_string_bytes: int = Field(default=8 * 1024, gt=0)
    limit_event_bytes: int = Field(default=64 * 1024, gt=0)
    limit_batch_events: int = Field(default=1_000, gt=0)
    limit_ndjson_events: int = Field(default=10_000, gt=0)
    limit_manifests: int = Field(default=1_000, gt=0)
    limit_future_hours: int = Field(default=24, ge=0)
    limit_pending_events: int = Field(default=200_000, gt=0)
    limit_filter_bytes: int = Field(default=8 * 1024, gt=0)
    limit_filter_nodes: int = Field(default=1_000, gt=0)
    limit_filter_depth: int = Field(default=100, gt=0)
    limit_in_members: int = Field(default=5_000, gt=0)
    limit_lambda_depth: int = Field(default=2, gt=0)
    limit_search_terms: int = Field(default=8, gt=0)
    limit_compute: int = Field(default=20, gt=0)
    limit_orderby: int = Field(default=5, gt=0)
    limit_select: int = Field(default=100, gt=0)
    limit_expand_depth: int = Field(default=3, gt=0)
    limit_expand_count: int = Field(default=6, gt=0)
    limit_apply_steps: int = Field(default=8, gt=0)
    limit_group_fields: int = Field(default=8, gt=0)
    limit_page_rows: int = Field(default=5_000, gt=0)
    limit_page_rows_asked: int = Field(default=50_000, gt=0)
    limit_outbound_connect_s: float = Field(default=5.0, gt=0)
    limit_outbound_read_s: float = Field(default=30.0, gt=0)
    limit_outbound_total_s: float = Field(default=120.0, gt=0)
    limit_outbound_bytes: int = Field(default=50 * 1024 * 1024, gt=0)
    limit_outbound_redirects: int = Field(default=3, ge=0)
    limit_retry_after_s: int = Field(default=300, ge=0)
    limit_query_s: float = Field(default=10.0, gt=0)
    limit_past_hours: float = Field(default=24.0, ge=0)
    limit_export_s: float = Field(default=60.0, gt=0)
    limit_batch_requests: int = Field(default=20, gt=0)
    limit_async_jobs: int = Field(default=8, gt=0)
    limit_async_kept_s: int = Field(default=300, gt=0)

    def limits(self) -> dict[str, int | float]:
        """Every limit by its name in `FULLCOUNT_LIMIT_*`, as `GET /v1/limits` shows it."""
        return {
            name.removeprefix("limit_"): value
            for name, value in self.model_dump().items()
            if name.startswith("limit_")
        }
