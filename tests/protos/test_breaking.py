"""Breaking changes are found against the baseline; additions break no caller."""

import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

from tests.protos.compiled import ROOT, compiled
from tools.protos_breaking import BASELINE, breaches, present_files

PROMISED = """
syntax = "proto3";
package shop.v1;
service FruitService {
  rpc BuyFruit(BuyFruitRequest) returns (BuyFruitResponse);
}
message BuyFruitRequest {
  string name = 1;
  optional uint32 weight_g = 2;
  oneof payment {
    uint32 cash_cents = 3;
  }
  Basket basket = 4;
  message Basket {
    repeated Fruit fruits = 1;
  }
}
message BuyFruitResponse {}
enum Fruit {
  FRUIT_UNSPECIFIED = 0;
  FRUIT_APPLE = 1;
}
"""


def described(source: str, folder: Path) -> list[FileDescriptorProto]:
    path = folder / "protos" / "shop" / "v1" / "fruit.proto"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source)
    return compiled(folder / "protos", folder)


@pytest.mark.parametrize(
    ("promised", "present", "breach"),
    [
        ("string name = 1;", "", "BuyFruitRequest = 1: string name is gone"),
        ("string name = 1;", "string title = 1;", "string name is now string title"),
        ("string name = 1;", "bytes name = 1;", "string name is now bytes name"),
        ("string name = 1;", "string name = 9;", "BuyFruitRequest = 1: string name is gone"),
        ("optional uint32", "uint32", "optional uint32 weight_g is now uint32 weight_g"),
        ("uint32 cash_cents", "uint64 cash_cents", "oneof payment, uint32 cash_cents is now"),
        ("oneof payment", "oneof price", "oneof payment, uint32 cash_cents is now oneof price"),
        ("repeated Fruit", "Fruit", "Basket = 1: repeated .shop.v1.Fruit fruits is now"),
        ("FRUIT_APPLE", "FRUIT_PEAR", "Fruit = 1: FRUIT_APPLE is now FRUIT_PEAR"),
        ("  FRUIT_APPLE = 1;\n", "", "Fruit = 1: FRUIT_APPLE is gone"),
        ("rpc BuyFruit", "rpc TakeFruit", "shop.v1.FruitService/BuyFruit: rpc"),
        ("(BuyFruitRequest)", "(stream BuyFruitRequest)", "is now rpc (stream "),
        ("(BuyFruitResponse)", "(BuyFruitRequest)", "returns (.shop.v1.BuyFruitRequest)"),
        ("package shop.v1;", "package shop.v2;", "shop.v1.Fruit: enum is gone"),
    ],
)
def test_what_breaks_callers_is_named(
    tmp_path: Path, promised: str, present: str, breach: str
) -> None:
    before = described(PROMISED, tmp_path)

    found = breaches(before, described(PROMISED.replace(promised, present, 1), tmp_path))

    assert [line for line in found if breach in line] != [], found


def test_additions_break_no_caller(tmp_path: Path) -> None:
    before = described(PROMISED, tmp_path)
    grown = (
        PROMISED.replace("  string name = 1;", "  string name = 1;\n  string colour = 5;")
        .replace("FRUIT_APPLE = 1;", "FRUIT_APPLE = 1;\n  FRUIT_PEAR = 2;")
        .replace("message BuyFruitResponse {}", "message BuyFruitResponse { bool sold = 1; }")
    )

    assert breaches(before, described(grown, tmp_path)) == []


def test_the_baseline_holds_every_package() -> None:
    promised = FileDescriptorSet.FromString(BASELINE.read_bytes()).file

    assert {file.package for file in promised} == {file.package for file in present_files()}


@pytest.mark.parametrize(("when_broken", "exit_code"), [("report", 0), ("fail", 1)])
def test_a_breach_is_reported_or_ends_the_build_as_the_switch_says(
    tmp_path: Path, when_broken: str, exit_code: int
) -> None:
    baseline = tmp_path / "baseline.binpb"
    baseline.write_bytes(FileDescriptorSet(file=described(PROMISED, tmp_path)).SerializeToString())

    done = subprocess.run(
        [
            *(sys.executable, ROOT / "tools" / "protos_breaking.py"),
            *("--baseline", baseline, "--when-broken", when_broken),
        ],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == exit_code
    assert "breaking: shop.v1.Fruit = 1: FRUIT_APPLE is gone" in done.stdout
