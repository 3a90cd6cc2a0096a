"""Which words a tenant's names are made of. All made up; addresses lie in the ranges kept for documentation."""

FIRST_NAMES = (
    "Ada",
    "Bela",
    "Chen",
    "Dana",
    "Emeka",
    "Farah",
    "Goran",
    "Hana",
    "Ines",
    "Jonas",
    "Kaveh",
    "Lena",
    "Mika",
)
LAST_NAMES = (
    "Abara",
    "Brandt",
    "Castro",
    "Dubois",
    "Eriksen",
    "Fuchs",
    "Gupta",
    "Haddad",
    "Ito",
    "Kowalski",
    "Lindqvist",
)
DOMAINS = ("example.com", "corp.example.com", "example.org")
TEAMS = ("payments", "search", "identity", "platform", "billing", "data-lake", "checkout", "media", "risk", "mobile")
STAGES = ("prod", "staging", "dev", "sandbox")
BUSINESS_UNITS = ("", "", "Retail", "Engineering", "Finance", "Dev")
ROLES = ("api", "worker", "gateway", "batch", "cache", "frontend", "scheduler", "ingest", "bastion", "proxy")
AGENTS = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:143.0) Gecko/20100101 Firefox/143.0",
    "Wiz-Terraform-Provider/1.26.4017",
    "wiz-cli/0.89.0",
    "python-requests/2.32.5",
    "Go-http-client/2.0",
)
PROGRAMS = (
    "python-requests/2.32.5",
    "Go-http-client/2.0",
    "Wiz-Terraform-Provider/1.26.4017",
    "wiz-cli/0.89.0",
    "curl/8.14.1",
    "okhttp/4.12.0",
)
"""What service accounts are used by. As many as AGENTS: a world is the same but for them."""
REGIONS = {
    "AWS": ("us-east-1", "us-west-2", "eu-central-1", "eu-north-1", "ap-northeast-2"),
    "Azure": ("eastus", "westeurope", "koreacentral"),
    "GCP": ("us-central1", "europe-west4", "asia-northeast3"),
}
CLOUDS = {"AWS": 0.62, "Azure": 0.22, "GCP": 0.16}
SEVERITIES = {"CRITICAL": 0.04, "HIGH": 0.17, "MEDIUM": 0.38, "LOW": 0.33, "INFORMATIONAL": 0.08}
CVSS = {"CRITICAL": 0.07, "HIGH": 0.33, "MEDIUM": 0.45, "LOW": 0.13, "NONE": 0.02}
COUNTRIES = ("US", "DE", "KR", "NL", "IN", "BR", None)

PACKAGES = (
    ("openssl", "RPM", "OS_PACKAGE"),
    ("glibc", "RPM", "OS_PACKAGE"),
    ("curl", "DPKG", "OS_PACKAGE"),
    ("libxml2", "DPKG", "OS_PACKAGE"),
    ("linux-image-aws", "DPKG", "OS_PACKAGE"),
    ("busybox", "APK", "OS_PACKAGE"),
    ("golang.org/x/crypto", "GO", "CODE_LIBRARY"),
    ("requests", "PYTHON", "CODE_LIBRARY"),
    ("urllib3", "PYTHON", "CODE_LIBRARY"),
    ("lodash", "JAVASCRIPT", "CODE_LIBRARY"),
    ("log4j-core", "JAVA", "CODE_LIBRARY"),
    ("jackson-databind", "JAVA", "CODE_LIBRARY"),
    ("System.Text.Json", "CSHARP", "CODE_LIBRARY"),
    ("rustls", "RUST", "CODE_LIBRARY"),
)
WEAKNESSES = (
    "a heap buffer over-read",
    "an out-of-bounds write",
    "improper validation of certificates",
    "a use after free",
    "uncontrolled resource consumption",
    "an integer overflow",
    "path traversal through crafted archives",
    "deserialisation of untrusted data",
)
EFFECTS = (
    "A remote attacker may run code with the rights of the service.",
    "Crafted input makes the process end, which denies service to others.",
    "Memory that belongs to other requests can be read.",
    "An attacker in the network path may read or change traffic.",
    "A local user may gain the rights of root.",
    "Systems that do not parse untrusted input are not affected.",
    "The default configuration is affected.",
    "Fixed versions reject such input before it is copied.",
)
NOTES = (
    "Looked at with the owning team, fix is planned for the next release.",
    "False alarm? The port is only reachable through the VPN.",
    "Ticket handed over to platform.",
    "한 번 더 확인이 필요합니다.",
    "Accepted until the migration ends; see the risk register.",
)
