"""Webhooks: each recorded event reaches the receiver, in order and signed, over real HTTP."""

import base64
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from registry.app import OpenRegistry
from registry.decisions.webhooks import Message, headers_of, keys_of, pause_after_s, target_of
from registry.server.webhooks import Webhooks
from registry.settings import RegistrySettings
from tests.registry.operator import Operator, failure_of, running_server
from tests.registry.webhook_receiver import HANG_UP, WebhookReceiver, receiving
from tests.runtime.transport.authorities import Authority
from understudy.domain.changes import DeployChampion, Rollback, SetCanary
from understudy.domain.errors import InvalidInputError, UnavailableError

KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def of(receiver: WebhookReceiver, **settings: Any) -> dict[str, Any]:
    url = f"http://127.0.0.1:{receiver.port}/hooks?a=b"
    return {"webhook_url": url, "webhook_key": KEY, **settings}


def webhooks_of(opened: OpenRegistry) -> Webhooks:
    assert opened.webhooks is not None
    return opened.webhooks


def test_a_message_is_signed_as_standard_webhooks_say() -> None:
    """The example of the libraries of standardwebhooks.com."""
    message = Message("msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}')
    sent_at = datetime.fromtimestamp(1_614_265_330, UTC)

    headers = headers_of(message, keys_of(f"{KEY}\n{KEY}\n"), sent_at)

    signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": f"{signature} {signature}",
    }


async def test_changes_and_refused_attempts_arrive_in_order_and_again_after_no_restart(
    seeded: Path,
) -> None:
    receiver = WebhookReceiver()
    async with receiving(receiver):
        async with running_server(seeded, **of(receiver)) as (opened, channel):
            operator = Operator(channel)
            await operator.change(DeployChampion(1))
            await failure_of(operator.change(Rollback()))
            await opened.refusals.write()
            await webhooks_of(opened).deliver()
            await operator.change(SetCanary(2, 500))  # not delivered before the end
        async with running_server(seeded, **of(receiver)) as (opened, channel):
            await webhooks_of(opened).deliver()
            await webhooks_of(opened).deliver()

    assert [each.type for each in receiver.received] == [
        "registry.deploy",
        "registry.refused_attempts",
        "registry.canary",
    ]
    deploy, refused, canary = (each.data for each in receiver.received)
    assert (deploy["sequence"], canary["sequence"]) == (3, 4), "older rows are not sent"
    assert (deploy["model"], deploy["actor"], deploy["to_revision"]) == ("fraud", "ada@lab", 1)
    assert (refused["call"], refused["attempts"]) == ("ChangeDeployment", 1)
    for each in receiver.received:
        sent_at = datetime.fromtimestamp(int(each.headers["webhook-timestamp"]), UTC)
        message = Message(each.headers["webhook-id"], each.body)
        assert headers_of(message, keys_of(KEY), sent_at).items() <= each.headers.items()
    assert len({*receiver.ids}) == len(receiver.ids)


@pytest.mark.fault
async def test_a_receiver_that_is_away_or_fails_misses_nothing_and_holds_up_no_change(
    seeded: Path,
) -> None:
    receiver = WebhookReceiver()
    async with receiving(receiver):
        pass
    async with running_server(seeded, **of(receiver)) as (opened, channel):
        operator, webhooks = Operator(channel), webhooks_of(opened)
        await operator.change(DeployChampion(1))
        with pytest.raises(UnavailableError, match=r"receiver 127\.0\.0\.1"):
            await webhooks.deliver()
        await operator.change(SetCanary(2, 500))
        await operator.change(SetCanary(2, 600))
        async with receiving(receiver):
            for answer in (500, 302, HANG_UP):
                receiver.answers.extend([200, answer] if answer == 500 else [answer])
                with pytest.raises(UnavailableError):
                    await webhooks.deliver()
            await webhooks.deliver()
            await webhooks.deliver()

    first, *others = [each.data["sequence"] for each in receiver.received]
    assert (first, others) == (3, [4, 4, 4, 4, 5])
    assert len({*receiver.ids}) == 3, "a repeat has the id of the first attempt"
    assert webhooks.delivered == 3


@pytest.mark.fault
async def test_no_event_goes_to_a_receiver_of_an_unknown_authority(
    seeded: Path, tmp_path: Path
) -> None:
    authority, stranger = Authority(tmp_path / "ours"), Authority(tmp_path / "stranger")
    own = authority.files_of("127.0.0.1")
    assert own.certificate is not None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(own.certificate, own.key)
    receiver = WebhookReceiver()
    async with receiving(receiver, context):
        url = f"https://127.0.0.1:{receiver.port}"
        given = {"webhook_url": url, "webhook_key": KEY}
        for ca in (stranger.ca_file, authority.ca_file):
            async with running_server(seeded, **given, webhook_ca=ca) as (opened, channel):
                if ca == stranger.ca_file:
                    await Operator(channel).change(DeployChampion(1))
                    with pytest.raises(UnavailableError, match="CERTIFICATE_VERIFY_FAILED"):
                        await webhooks_of(opened).deliver()
                    assert receiver.received == []
                else:
                    await webhooks_of(opened).deliver()

    assert [each.type for each in receiver.received] == ["registry.deploy"]


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_pauses_are_bounded_and_grow(failures: int, chance: float) -> None:
    pause_s = pause_after_s(failures, chance)

    assert 0.5 <= pause_s <= 300
    assert pause_after_s(failures + 1, chance) >= pause_s


@pytest.mark.parametrize(
    "url",
    [
        "http://receiver.example/",
        "http://localhost.example/",
        "ftp://127.0.0.1/",
        "https://ann:secret@receiver.example/",
        "https:///path",
        "https://receiver.example/a b",
        "https://receiver.example/\r\nx: y",
        "https://receiver.example:99999/",
        "receiver.example",
    ],
)
def test_receivers_are_reached_by_https_or_on_this_machine(url: str) -> None:
    with pytest.raises(InvalidInputError, match="webhook_url"):
        target_of(url)


@given(st.lists(st.binary(min_size=24, max_size=64), min_size=1, max_size=3))
def test_every_key_of_the_file_is_read(keys: list[bytes]) -> None:
    text = "\n".join(f"whsec_{base64.b64encode(key).decode()}" for key in keys)

    assert keys_of(text) == tuple(keys)


@pytest.mark.parametrize(
    "key", ["whsec_!", "whsec_c2hvcnQ=", "c2VjcmV0", f"{KEY} x", "whsec_*" * 9]
)
def test_a_key_of_another_form_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(
        InvalidInputError, match=r"webhook_key: read 'line \d'; accepted"
    ) as refused:
        keys_of(key)

    assert key not in str(refused.value)


@pytest.mark.parametrize(
    "given", [{"webhook_url": "https://a.example"}, {"webhook_key": KEY}, {"webhook_ca": "ca.pem"}]
)
def test_webhooks_that_would_not_act_are_refused(tmp_path: Path, given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="webhook_"):
        RegistrySettings(unproven=True, dir=tmp_path, **given)
