"""The tables of bench/RESULTS.md are rewritten row by row. Run by ctest."""
import unittest

import bars
from results import (Comparison, ConvTable, GemmTable, NarrowTable, ShareTable, parse_table, replace, replace_bars,
                     table_of)
from rows import ROWS

EMPTY = "before\n<!-- compare: t -->\n<!-- end -->\nafter\n"


def row(name):
    return next(r for r in ROWS if r.name == name)


def comparison(name, engine, ratio, case=None):
    return Comparison(row(name), case or row(name).title, engine, 2, 2.0, 2.0 * ratio, ratio, ratio, ratio)


def rewritten(text, table, measured, here="On a machine."):
    return replace(text, "t", table, list(table.lines(measured, "today")), here)


class Tables(unittest.TestCase):
    def test_rows_are_added_in_order_and_replaced(self):
        table = table_of(row("mlp-b1"))[1]
        text = rewritten(EMPTY, table, [comparison("mlp-b1", "ort", 1.5)])
        text = rewritten(text, table, [comparison("lstm-b32", "torch", 3), comparison("lstm-b32", "ort", 2)])
        text = rewritten(text, table, [comparison("mlp-b1", "ort", 0.5)])
        lines = [line for line in text.splitlines() if line.startswith("| ")][2:]
        self.assertEqual([line.split(" | ")[1] for line in lines], ["ONNX Runtime", "PyTorch", "ONNX Runtime"])
        self.assertIn("0.50", lines[-1])
        self.assertTrue(text.startswith("before\n") and text.endswith("after\n"))

    def test_rows_of_another_machine_go(self):
        text = rewritten(EMPTY, table_of(row("mlp-b1"))[1], [comparison("mlp-b1", "ort", 1.5)])
        text = rewritten(text, table_of(row("mlp-b1"))[1], [comparison("mlp-b64", "ort", 1.5)], "On another.")
        self.assertNotIn(row("mlp-b1").title + " |", text)
        self.assertIn(row("mlp-b64").title + " |", text)

    def test_products_are_summed_up(self):
        measured = [comparison("gemm-2t", engine, ratio, case)
                    for case, ratio in (("GPT-2 small 2x3x4", 4), ("random 5x6x7", 0.25))
                    for engine in ("openblas", "onednn")]
        text = rewritten(EMPTY, GemmTable(), measured)
        self.assertIn("2 threads, beside oneDNN: geometric mean 1.00, least 0.25, below 1 in 1 of 2", text)
        self.assertIn("| GPT-2 small | 2x3x4 | 2 |", text)

    def test_layers_are_summed_over_their_net(self):
        measured = [comparison("conv-1t", "onednn", ratio, f"MobileNetV2, {layer}, {times} times")
                    for layer, times, ratio in (("depthwise 3x3/2 96 > 96 at 112", 3, 0.5),
                                                ("1x1 96 > 24 at 56 linear", 1, 2.5))]
        text = rewritten(EMPTY, ConvTable(), measured)
        self.assertIn("MobileNetV2, 1 thread: 8 ms in all beside 8, ratio 1.00; least 0.50, below 0.8 in 1 of 2",
                      text)
        self.assertEqual(ConvTable.flops("depthwise 3x3/2 96 > 96 at 112"), 2 * 9 * 96 * 56 * 56)

    def test_shares_are_held_against_what_is_asked_for(self):
        measured = [comparison("avx2-1t", "bound", ratio, case) for case, ratio in (("a", 0.84), ("b", 0.9))]
        text = rewritten(EMPTY, ShareTable(), measured)
        self.assertIn("- AVX2 multiply-adds, 1 thread: least 0.84, short in 1 of 2", text)

    def test_narrow_products_have_a_line_for_roof_and_onednn(self):
        measured = [comparison("bf16-1t", engine, ratio, "MLP 10x100x1000")
                    for engine, ratio in (("bound", 0.9), ("onednn", 1.25))]
        text = rewritten(EMPTY, NarrowTable(), measured)
        self.assertIn("| bf16 x bf16 > f32 | MLP 10x100x1000 | 1 | 1.0 | 90 | 0.8 | 1.25 | today |", text)

    def test_bars_are_read_off_the_tables(self):
        names = sorted({table_of(r)[0] for r in ROWS} | {"bars"})
        text = "\n".join(f"<!-- compare: {name} -->\n<!-- end -->\n" for name in names)
        for measured in ([comparison("train-mlp", "torch", 4), comparison("train-gpt", "torch", 1.25)],
                         [comparison("memory-mlp-b1", "ort", 2), comparison("memory-mlp-b1", "measured", 1.02)],
                         [comparison("peak-1t", "bound", 0.95, "MLP 64x512x784")]):
            name, table = table_of(measured[0].row)
            text = replace_bars(replace(text, name, table, list(table.lines(measured, "today")), "On a machine."))
        lines = {line[:2]: line[2:] for line in parse_table(text[text.index("compare: bars"):]) if line[2:]}
        self.assertEqual(lines["training steps, 2 threads", "beside PyTorch: mean 2, none below 1.3"],
                         ("mean 2.24, least 1.25, short in 1 of 2", "no"))
        self.assertEqual(lines["memory of a run", "ONNX Runtime's arena is no smaller"], ("2.00", "yes"))
        self.assertEqual(lines["memory of a run", "printed within 1 % of measured"], ("0.98, short in 1 of 1", "no"))
        self.assertEqual(lines["LSTM, 1 thread", "0.80 of the multiply-adds' peak"], ("nothing yet", ""))

    def test_bars_with_the_same_words_differ(self):
        said = [(bar.work, bar.asked) for bar in bars.BARS]
        self.assertEqual(len(said), len(set(said)))

    def test_a_missing_table_is_named(self):
        with self.assertRaisesRegex(ValueError, "compare: t"):
            rewritten("nothing", table_of(row("mlp-b1"))[1], [])


unittest.main()
