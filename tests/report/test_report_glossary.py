from nin_bench.analysis.names import Names
from nin_bench.report.glossary import explain_arguments
from nin_bench.results.schema import ResolvedVariant


def variant(label: str, lr: float = 0.1, **model: object) -> ResolvedVariant:
    fields = {
        "variant_id": label,
        "label": label,
        "model": model,
        "data": {"name": "digits"},
        "recipe": {"lr": lr},
    }
    return ResolvedVariant.model_validate(fields)


def test_fields_mean_what_the_schema_says() -> None:
    variants = [
        variant("a", name="nin", pointwise=2, head="gap"),
        variant("b", name="nin", pointwise=1, head="fc_maps", lr=0.2),
        variant("c", name="nin", pointwise=2, head="fc_maps"),
        variant("d", name="own", depth=1),
        variant("e", name="own", depth=2),
    ]
    found = explain_arguments(Names.of(variants))
    assert list(found) == ["pointwise", "head", "lr"]
    assert found["pointwise"] == "Number of 1×1 layers, after each block's first convolution"
    assert found["head"].startswith(
        "Way from feature maps to class scores; gap: the last block has a map per class"
    )
    assert found["lr"] == "Peak learning rate"
