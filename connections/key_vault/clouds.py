"""Azure's clouds: where vaults, sign-in and directory are in each. Source: Microsoft's list of endpoints per cloud."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """``suffix`` is what a vault's host ends with; the others are hosts."""

    suffix: str
    login: str
    management: str

    @property
    def vault_scope(self) -> str:
        """What a token for any vault of the cloud is asked for."""
        return f"https://{self.suffix}/.default"

    @property
    def management_scope(self) -> str:
        """What a token for the directory is asked for."""
        return f"https://{self.management}/.default"


CLOUDS = {
    "public": Cloud(
        suffix="vault.azure.net",
        login="login.microsoftonline.com",
        management="management.azure.com",
    ),
    "government": Cloud(
        suffix="vault.usgovcloudapi.net",
        login="login.microsoftonline.us",
        management="management.usgovcloudapi.net",
    ),
    "china": Cloud(
        suffix="vault.azure.cn",
        login="login.chinacloudapi.cn",
        management="management.chinacloudapi.cn",
    ),
}


def of_host(host: str) -> Cloud:
    """The cloud that a vault's host belongs to. Raises ValueError for a host of none."""
    for cloud in CLOUDS.values():
        if host.endswith(f".{cloud.suffix}"):
            return cloud
    raise ValueError("not the host of a Key Vault")
