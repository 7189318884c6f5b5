from nin_bench.report.glossary import explain_arguments


def test_arguments_mean_what_the_schema_says() -> None:
    found = explain_arguments(
        ["nin pointwise=2 head=gap lr=0.1", "nin pointwise=2 head=fc_maps", "x y=1", "no label at all"]
    )
    assert list(found) == ["pointwise", "head", "lr"]
    assert found["pointwise"] == "Number of 1×1 layers, after each block's first convolution"
    assert found["head"].startswith(
        "Way from feature maps to class scores; gap: the last block has a map per class"
    )
    assert found["lr"] == "Peak learning rate"
    assert "fc: maps are flattened" in explain_arguments(["nin head=fc"])["head"]
