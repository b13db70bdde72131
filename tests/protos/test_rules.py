"""Our protos keep the rules, and the rules find what breaks them."""

from pathlib import Path

import pytest

from tests.protos.compiled import ROOT, compiled
from tests.protos.rules import Offence, offences_of

# The Open Inference Protocol has no version in its package; this is our name for it.
ALLOWED = {("PACKAGE_VERSION_SUFFIX", "understudy.oip")}

SOUND = """
syntax = "proto3";
package shop.v1;
option go_package = "shop/v1;shopv1";
option java_multiple_files = true;
option java_package = "shop.v1";
// Sells fruit.
service FruitService {
  // Buys one.
  rpc BuyFruit(BuyFruitRequest) returns (BuyFruitResponse);
}
// What BuyFruit is asked.
message BuyFruitRequest {
  // Which.
  Fruit fruit = 1;
  // How many grams. Not set: one piece.
  optional uint32 weight_g = 2;
  // How it is paid.
  oneof payment {
    // In cents.
    uint32 cash_cents = 3;
    // Number of the card.
    string card = 4;
  }
}
// The answer of BuyFruit.
message BuyFruitResponse {}
// A fruit.
enum Fruit {
  // Not set.
  FRUIT_UNSPECIFIED = 0;
  // An apple.
  FRUIT_APPLE = 1;
}
"""


def found_in(source: str, folder: Path, name: str = "shop/v1/fruit.proto") -> list[Offence]:
    path = folder / "protos" / name
    path.parent.mkdir(parents=True)
    path.write_text(source)
    return offences_of(compiled(folder / "protos", folder))


def test_our_protos_keep_the_rules(tmp_path: Path) -> None:
    found = offences_of(compiled(ROOT / "protos", tmp_path))

    assert [str(each) for each in found if (each.rule, each.place) not in ALLOWED] == []
    assert {(each.rule, each.place) for each in found} == ALLOWED, "an exception without need"


def test_a_sound_file_has_no_offence(tmp_path: Path) -> None:
    assert found_in(SOUND, tmp_path) == []


@pytest.mark.parametrize(
    ("sound", "spoilt", "rules"),
    [
        (
            "package shop.v1;",
            "package store.v1;",
            {"PACKAGE_DIRECTORY_MATCH", "GO_PACKAGE", "JAVA_PACKAGE"},
        ),
        ('"shop/v1;shopv1"', '"shop/v1"', {"GO_PACKAGE"}),
        ("option java_multiple_files = true;\n", "", {"JAVA_PACKAGE"}),
        ("FruitService {", "Fruits {", {"SERVICE_SUFFIX"}),
        ("  // Buys one.\n", "", {"COMMENT_RPC"}),
        ("// Sells fruit.\n", "", {"COMMENT_SERVICE"}),
        ("// What BuyFruit is asked.\n", "", {"COMMENT_MESSAGE"}),
        ("  // Which.\n", "", {"COMMENT_FIELD"}),
        ("  // How it is paid.\n", "", {"COMMENT_ONEOF"}),
        ("    // In cents.\n", "", {"COMMENT_FIELD"}),
        ("// A fruit.\n", "", {"COMMENT_ENUM"}),
        ("  // An apple.\n", "", {"COMMENT_ENUM_VALUE"}),
        ("weight_g = 2", "weightG = 2", {"FIELD_LOWER_SNAKE_CASE"}),
        ("oneof payment", "oneof Payment", {"ONEOF_LOWER_SNAKE_CASE"}),
        ("weight_g = 2", "weight_g = 5", {"NUMBERS_IN_ORDER"}),
        ("card = 4", "card = 7", {"NUMBERS_IN_ORDER"}),
        ("FRUIT_APPLE = 1", "FRUIT_APPLE = 2", {"NUMBERS_IN_ORDER"}),
        ("FRUIT_UNSPECIFIED", "FRUIT_NONE", {"ENUM_ZERO_VALUE_SUFFIX"}),
        ("FRUIT_APPLE", "APPLE", {"ENUM_VALUE_PREFIX"}),
        ("FRUIT_APPLE", "FRUIT_apple", {"ENUM_VALUE_UPPER_SNAKE_CASE"}),
        (
            "returns (BuyFruitResponse)",
            "returns (BuyFruitRequest)",
            {"RPC_RESPONSE_STANDARD_NAME", "RPC_REQUEST_RESPONSE_UNIQUE"},
        ),
        (
            "rpc BuyFruit(",
            "rpc TakeFruit(",
            {"RPC_REQUEST_STANDARD_NAME", "RPC_RESPONSE_STANDARD_NAME"},
        ),
    ],
)
def test_each_offence_is_found_under_its_name(
    tmp_path: Path, sound: str, spoilt: str, rules: set[str]
) -> None:
    found = found_in(SOUND.replace(sound, spoilt, 1), tmp_path)

    assert {each.rule for each in found} == rules


def test_a_package_without_a_version_and_a_file_in_capitals_are_found(tmp_path: Path) -> None:
    found = found_in(SOUND.replace("package shop.v1", "package shop"), tmp_path, "shop/Fruit.proto")

    assert {each.rule for each in found} == {
        *("PACKAGE_VERSION_SUFFIX", "FILE_LOWER_SNAKE_CASE", "GO_PACKAGE", "JAVA_PACKAGE")
    }
