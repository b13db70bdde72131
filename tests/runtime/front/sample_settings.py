"""The settings of the sample process: its transport, under `SAMPLE_`."""

from pydantic_settings import SettingsConfigDict

from understudy.runtime.front.envoy_config import EnvoySecrets
from understudy.runtime.settings import load_settings
from understudy.runtime.transport.settings import TransportSettings
from understudy.runtime.transport.transport import Transport


class SampleSettings(TransportSettings):
    model_config = SettingsConfigDict(env_prefix="SAMPLE_", frozen=True, extra="forbid")


def sample_transport() -> Transport:
    return load_settings(SampleSettings, {}).transport


def sample_secrets(folder: str) -> EnvoySecrets | None:
    transport = sample_transport()
    if transport.files.certificate is None:
        return None
    callers = f"{folder}/callers.json" if transport.asks_callers else None
    return EnvoySecrets(f"{folder}/own.json", callers)
