// Control: ops with regions. A region is a closed graph; what it captures is passed as operands.
#include "ir/ops/control.h"

#include "ir/eval.h"
#include "ir/op.h"

namespace lathe {
namespace {

// Every region takes exactly `expected`.
std::optional<Failure> check_inputs(const Graph& region, const Types& expected) {
  const auto& inputs = region.inputs();
  if (inputs.size() != expected.size())  // [control-1]
    return failure("region '{}' takes {} inputs, {} are passed", region.name(), inputs.size(),
                   expected.size());
  for (size_t i = 0; i < inputs.size(); ++i)
    if (!(inputs[i].type == expected[i]))  // [control-2]
      return failure("input {} of region '{}' is {}, {} is passed", i, region.name(),
                     inputs[i].type.text(), expected[i].text());
  return std::nullopt;
}

Types output_types(const Graph& region) {
  Types types;
  for (const GraphOutput& out : region.outputs()) types.push_back(region.type(out.value));
  return types;
}

// The first results of a loop's body replace its carries.
std::optional<Failure> check_carries(const Graph& region, const Types& results,
                                     std::span<const TensorType> carries) {
  for (size_t i = 0; i < carries.size(); ++i)
    if (!(results[i] == carries[i]))  // [control-3]
      return failure("carry {} of region '{}' is {} and becomes {}", i, region.name(),
                     carries[i].text(), results[i].text());
  return std::nullopt;
}

bool is_condition(const TensorType& t) { return t.dtype == DType::boolean && t.rank() == 0; }

Result<Types> infer_scan(const InferArgs& args) {
  const auto& a = args.get<ScanAttrs>();
  const Graph& body = *args.regions[0];
  const int64_t count = std::ssize(args.operands);
  if (a.carries < 0 || a.scanned < 0 || a.carries > count || a.scanned > count - a.carries)
    return failure("{} carries and {} scanned values among {} operands", a.carries, a.scanned,
                   count);                           // [scan-1]
  if (a.length.is_static() && a.length.value() < 0)  // [scan-2]
    return failure("the length is {}", a.length.text());
  Types step(args.operands.begin(), args.operands.end());
  for (int64_t i = a.carries; i < a.carries + a.scanned; ++i) {
    TensorType& t = step[static_cast<size_t>(i)];
    if (t.rank() == 0 || !(t.shape[0] == a.length))  // [scan-3]
      return failure("scanned operand {} is {}, a leading axis of {} was expected", i, t.text(),
                     a.length.text());
    t.shape = Shape(std::vector<Dim>(t.shape.begin() + 1, t.shape.end()));
  }
  if (auto bad = check_inputs(body, step)) return *bad;
  Types results = output_types(body);
  if (std::ssize(results) < a.carries)  // [scan-4]
    return failure("region '{}' gives {} values, {} carries were expected", body.name(),
                   results.size(), a.carries);
  if (auto bad = check_carries(body, results, args.operands.first(static_cast<size_t>(a.carries))))
    return *bad;
  for (size_t i = static_cast<size_t>(a.carries); i < results.size(); ++i) {
    std::vector<Dim> dims = results[i].shape.dims();
    dims.insert(dims.begin(), a.length);
    results[i].shape = Shape(std::move(dims));
  }
  return results;
}

EvalTensor row(const EvalTensor& stacked, int64_t index) {
  EvalTensor out(stacked.dtype, Dims(stacked.dims.begin() + 1, stacked.dims.end()));
  for (int64_t i = 0; i < out.size(); ++i) out.copy_element(i, stacked, index * out.size() + i);
  return out;
}

void eval_scan(Evaluation& e) {
  const auto& a = e.attrs<ScanAttrs>();
  const auto carries = static_cast<size_t>(a.carries);
  const size_t scanned_end = carries + static_cast<size_t>(a.scanned);
  const int64_t length = a.length.value();
  std::vector<EvalTensor> step;
  for (int i = 0; i < e.operand_count(); ++i)
    step.push_back(static_cast<size_t>(i) < carries || static_cast<size_t>(i) >= scanned_end
                       ? e.in(i)
                       : EvalTensor());
  for (int64_t k = 0; k < length; ++k) {
    const int64_t t = a.reverse ? length - 1 - k : k;
    for (size_t i = carries; i < scanned_end; ++i) step[i] = row(e.in(static_cast<int>(i)), t);
    std::vector<EvalTensor> results = evaluate(*e.node.regions[0], step);
    for (size_t i = carries; i < results.size(); ++i) {
      const int64_t size = results[i].size();
      for (int64_t j = 0; j < size; ++j) e.results()[i].copy_element(t * size + j, results[i], j);
    }
    for (size_t i = 0; i < carries; ++i) step[i] = std::move(results[i]);
  }
  for (size_t i = 0; i < carries; ++i) e.results()[i] = std::move(step[i]);
}

Result<Types> infer_while(const InferArgs& args) {
  const auto carries = args.get<WhileAttrs>().carries;
  if (carries < 0 || carries > std::ssize(args.operands))  // [while-1]
    return failure("{} carries among {} operands", carries, args.operands.size());
  const Types operands(args.operands.begin(), args.operands.end());
  const Graph &condition = *args.regions[0], &body = *args.regions[1];
  if (auto bad = check_inputs(condition, operands)) return *bad;
  if (auto bad = check_inputs(body, operands)) return *bad;
  const Types test = output_types(condition);
  if (test.size() != 1 || !is_condition(test[0]))  // [while-2]
    return failure("region '{}' must give one bool[]", condition.name());
  Types results = output_types(body);
  if (std::ssize(results) != carries)  // [while-3]
    return failure("region '{}' gives {} values, {} carries were expected", body.name(),
                   results.size(), carries);
  if (auto bad = check_carries(body, results, args.operands.first(static_cast<size_t>(carries))))
    return *bad;
  return results;
}

void eval_while(Evaluation& e) {
  std::vector<EvalTensor> values;
  for (int i = 0; i < e.operand_count(); ++i) values.push_back(e.in(i));
  while (evaluate(*e.node.regions[0], values)[0].i[0] != 0) {
    std::vector<EvalTensor> next = evaluate(*e.node.regions[1], values);
    std::move(next.begin(), next.end(), values.begin());
  }
  for (size_t i = 0; i < e.results().size(); ++i) e.results()[i] = std::move(values[i]);
}

Result<Types> infer_if(const InferArgs& args) {
  if (args.operands.empty() || !is_condition(args.operand(0)))  // [if-1]
    return failure("the first operand must be bool[]");
  const Types passed(args.operands.begin() + 1, args.operands.end());
  for (const Region& region : args.regions)
    if (auto bad = check_inputs(*region, passed)) return *bad;
  const Types results = output_types(*args.regions[0]), others = output_types(*args.regions[1]);
  if (results.size() != others.size())  // [if-2]
    return failure("the regions give {} and {} values", results.size(), others.size());
  for (size_t i = 0; i < results.size(); ++i)
    if (!(results[i] == others[i]))  // [if-3]
      return failure("result {} is {} in one region and {} in the other", i, results[i].text(),
                     others[i].text());
  return results;
}

void eval_if(Evaluation& e) {
  std::vector<EvalTensor> passed;
  for (int i = 1; i < e.operand_count(); ++i) passed.push_back(e.in(i));
  e.results() = evaluate(*e.node.regions[e.in(0).i[0] != 0 ? 0 : 1], passed);
}

Result<Types> infer_composite(const InferArgs& args) {
  if (args.get<CompositeAttrs>().name.empty())  // [composite-1]
    return failure("a composite has a name");
  const Types operands(args.operands.begin(), args.operands.end());
  if (auto bad = check_inputs(*args.regions[0], operands)) return *bad;
  return output_types(*args.regions[0]);
}

void eval_composite(Evaluation& e) {
  std::vector<EvalTensor> operands;
  for (int i = 0; i < e.operand_count(); ++i) operands.push_back(e.in(i));
  e.results() = evaluate(*e.node.regions[0], operands);
}

}  // namespace

LATHE_OP(scan, {.name = "scan",
                .arity = kVariadic,
                .cls = OpClass::Control,
                .attrs = attrs_index<ScanAttrs>,
                .regions = 1,
                .infer = infer_scan,
                .eval = eval_scan,
                .vjp = vjp_scan});

LATHE_OP(while_loop, {.name = "while_loop",
                      .arity = kVariadic,
                      .cls = OpClass::Control,
                      .attrs = attrs_index<WhileAttrs>,
                      .regions = 2,
                      .infer = infer_while,
                      .eval = eval_while,
                      .no_gradient = "the number of steps is unknown; use scan"});

LATHE_OP(if_else, {.name = "if_else",
                   .arity = kVariadic,
                   .cls = OpClass::Control,
                   .attrs = attrs_index<NoAttrs>,
                   .regions = 2,
                   .infer = infer_if,
                   .eval = eval_if,
                   .vjp = vjp_if_else});

LATHE_OP(composite, {.name = "composite",
                     .arity = kVariadic,
                     .cls = OpClass::Control,
                     .attrs = attrs_index<CompositeAttrs>,
                     .regions = 1,
                     .infer = infer_composite,
                     .eval = eval_composite,
                     .vjp = vjp_composite});

}  // namespace lathe
