// Features of ai.onnx.ml: encodings and scalings. Where texts or maps are involved, host steps.
#include <algorithm>
#include <cmath>
#include <map>

#include "frontend/onnx/convert.h"
#include "frontend/onnx/ml_scores.h"
#include "frontend/onnx/row.h"

namespace lathe::onnx {
namespace {

// --- labels --------------------------------------------------------------------------------------

HostTensor numbers_of(const std::vector<double>& v) {
  return {ElemType::Float, Tensor::from<float>({std::ssize(v)}, {v.begin(), v.end()})};
}
HostTensor numbers_of(const Dims& v) { return Tensor::from<int64_t>({std::ssize(v)}, v); }
HostTensor numbers_of(std::vector<std::string> v) { return {{std::ssize(v)}, std::move(v)}; }

// A list attribute in whichever of its forms it is given; without any, an empty one.
HostTensor list_of(OpContext& c, const std::string& name) {
  if (c.has_attribute(name + "_tensor")) return c.attr_tensor(name + "_tensor");
  if (c.has_attribute(name + "_strings")) return numbers_of(c.attr_texts(name + "_strings"));
  if (c.has_attribute(name + "_floats")) return numbers_of(c.attr_floats(name + "_floats"));
  return numbers_of(c.attr_ints(name + "_int64s"));
}

struct Mapping {
  HostTensor keys, values, missing;  // of equally many; of one
};

HostTensor as_list(const HostTensor& t) {
  const int64_t n = element_count(t.dims());
  return t.is_string() ? HostTensor({n}, *t.strings) : HostTensor(t.elem, t.numbers.reshaped({n}));
}

// Keys and values are the classes and their positions in version 1.
Mapping read_mapping(OpContext& c) {
  if (c.version() < 2) {
    std::vector<std::string> classes = c.attr_texts("classes_strings");
    Dims positions = range(0, std::ssize(classes));
    const HostTensor text = numbers_of(classes), at = numbers_of(positions);
    const HostTensor no_text =
        numbers_of(std::vector<std::string>{c.attr_text("default_string", "_Unused")});
    const HostTensor no_number = numbers_of(Dims{c.attr_int("default_int64", -1)});
    return c.input(0).is_string() ? Mapping{text, at, no_number} : Mapping{at, text, no_text};
  }
  Mapping m{as_list(list_of(c, "keys")), as_list(list_of(c, "values")), {}};
  const std::string text = c.attr_text("default_string", "_Unused");
  const auto number = c.attr_float("default_float", -0.0);
  const int64_t integer = c.attr_int("default_int64", -1);
  if (c.has_attribute("default_tensor")) m.missing = as_list(c.attr_tensor("default_tensor"));
  else if (m.values.is_string()) m.missing = numbers_of(std::vector<std::string>{text});
  else if (is_float(m.values.numbers.dtype()))
    m.missing = convert(numbers_of(std::vector<double>{number}), m.values.elem);
  else m.missing = convert(numbers_of(Dims{integer}), m.values.elem);
  if (m.keys.dims() != m.values.dims() || element_count(m.missing.dims()) != 1)
    fail("{} keys, {} values and {} defaults", element_count(m.keys.dims()),
         element_count(m.values.dims()), element_count(m.missing.dims()));
  return m;
}

// The values and the default after them.
std::vector<std::string> text_table(const Mapping& m) {
  std::vector<std::string> table = *m.values.strings;
  table.push_back(m.missing.strings->front());
  return table;
}
Tensor number_table(const Mapping& m) {
  const int64_t n = m.values.numbers.size();
  Tensor table = Tensor::empty(m.values.numbers.dtype(), {n + 1});
  for (int64_t i = 0; i <= n; ++i) {
    const Tensor& from = i < n ? m.values.numbers : m.missing.numbers;
    if (is_float(table.dtype())) table.set(i, from.at(i < n ? i : 0));
    else table.set_int(i, from.int_at(i < n ? i : 0));
  }
  return table;
}

Value looked_up(const Mapping& m, const std::vector<int64_t>& at, const Dims& dims) {
  if (!m.values.is_string()) {
    const Tensor table = number_table(m);
    Tensor out = Tensor::empty(table.dtype(), dims);
    for (size_t i = 0; i < at.size(); ++i) {
      const auto to = static_cast<int64_t>(i);
      if (is_float(table.dtype())) out.set(to, table.at(at[i]));
      else out.set_int(to, table.int_at(at[i]));
    }
    return Value::of(HostTensor(m.values.elem, out));
  }
  const std::vector<std::string> table = text_table(m);
  std::vector<std::string> out;
  for (const int64_t i : at) out.push_back(table[static_cast<size_t>(i)]);
  return Value::of(HostTensor(dims, std::move(out)));
}

// The position of each element among the keys, the last one where there are equal ones; after all
// of them where it is none. NaN is a key like others.
std::vector<int64_t> positions_of(const HostTensor& x, const HostTensor& keys) {
  const HostTensor wanted = convert(x, ElemType::String), known = convert(keys, ElemType::String);
  std::map<std::string, int64_t> index;
  for (size_t i = 0; i < known.strings->size(); ++i)
    index[(*known.strings)[i]] = static_cast<int64_t>(i);
  std::vector<int64_t> out;
  for (const std::string& text : *wanted.strings) {
    const auto it = index.find(text);
    out.push_back(it == index.end() ? std::ssize(*known.strings) : it->second);
  }
  return out;
}

void label_encoder(OpContext& c) {
  const Mapping m = read_mapping(c);
  if (m.keys.is_string() != c.input(0).is_string())
    fail("its input is {}, its keys are {}", c.input(0).signature(), m.keys.type_text());
  if (m.keys.is_string() || m.values.is_string()) {
    c.host([m](HostServices&, const std::vector<Value>& in) {
      return std::vector<Value>{looked_up(m, positions_of(in[0].known, m.keys), in[0].dims())};
    });
    return;
  }
  Graph& g = c.graph();
  const int64_t n = m.keys.numbers.size();
  const Expr x = expand_dims(c.expr(0), c.rank(0));
  const Expr keys = cast(constant(g, m.keys.numbers), x.dtype());
  Expr hit = eq(x, keys);
  if (is_float(x.dtype())) hit = bit_or(hit, bit_and(ne(x, x), ne(keys, keys)));
  const Expr at = iota(g, DType::i64, hit.shape(), x.rank() - 1);
  const Expr found = reduce_max(select(hit, at, full_like(at, -1)), {x.rank() - 1});
  const Expr place = select(lt(found, 0), full_like(found, static_cast<double>(n)), found);
  c.out(gather(constant(g, number_table(m)), place, 0), m.values.elem);
}

// Texts to integers or back.
void category_mapper(OpContext& c) {
  const Dims integers = c.attr_ints("cats_int64s");
  const std::vector<std::string> texts = c.attr_texts("cats_strings");
  const bool from_text = c.input(0).is_string();
  const HostTensor no_text =
      numbers_of(std::vector<std::string>{c.attr_text("default_string", "_Unused")});
  const HostTensor no_integer = numbers_of(Dims{c.attr_int("default_int64", -1)});
  if (integers.size() != texts.size())
    fail("{} integers for {} texts", integers.size(), texts.size());
  const Mapping m = from_text ? Mapping{numbers_of(texts), numbers_of(integers), no_integer}
                              : Mapping{numbers_of(integers), numbers_of(texts), no_text};
  c.host([m](HostServices&, const std::vector<Value>& in) {
    return std::vector<Value>{looked_up(m, positions_of(in[0].known, m.keys), in[0].dims())};
  });
}

// [.., categories]: 1 at the element's category. One of none is an error unless `zeros`.
void one_hot_encoder(OpContext& c) {
  const bool zeros = c.attr_int("zeros", 1) != 0;
  const Dims integers = c.attr_ints("cats_int64s");
  const std::vector<std::string> texts = c.attr_texts("cats_strings");
  const bool of_texts = c.input(0).is_string();
  if (!of_texts && zeros) {
    const Expr x = expand_dims(cast(c.expr(0), DType::i64), c.rank(0));
    c.out(cast(eq(x, list_constant(c.graph(), integers)), DType::f32));
    return;
  }
  const HostTensor keys = of_texts ? numbers_of(texts) : numbers_of(integers);
  c.host([=](HostServices&, const std::vector<Value>& in) {
    const HostTensor x = of_texts ? in[0].known : convert(in[0].known, ElemType::Int64);
    const std::vector<int64_t> at = positions_of(x, keys);
    const int64_t n = element_count(keys.dims());
    Dims dims = in[0].dims();
    dims.push_back(n);
    Tensor out = Tensor::zeros(DType::f32, dims);
    for (size_t i = 0; i < at.size(); ++i) {
      if (at[i] < n) out.set(static_cast<int64_t>(i) * n + at[i], 1);
      else if (!zeros) fail("element {} is of none of the {} categories", i, n);
    }
    return std::vector<Value>{Value::of(HostTensor(out))};
  });
}

// --- numbers -------------------------------------------------------------------------------------

void array_feature_extractor(OpContext& c) {
  const int64_t rank = c.rank(0);
  if (rank == 0) fail("its input is {}", c.input(0).signature());
  if (c.input(0).is_string()) {
    c.host(
        [](HostServices&, const std::vector<Value>& in) {
          Dims dims = in[0].dims();
          const int64_t n = dims.back();
          const Tensor& at = in[1].known.numbers;
          std::vector<std::string> out;
          for (int64_t row = 0; n > 0 && row < element_count(dims) / n; ++row)
            for (int64_t k = 0; k < at.size(); ++k) {
              if (at.int_at(k) < 0 || at.int_at(k) >= n) fail("feature {} of {}", at.int_at(k), n);
              out.push_back((*in[0].known.strings)[static_cast<size_t>(row * n + at.int_at(k))]);
            }
          dims.back() = at.size();
          if (dims.size() == 1) dims.insert(dims.begin(), 1);
          return std::vector<Value>{Value::of(HostTensor(dims, std::move(out)))};
        },
        2);
    return;
  }
  const Expr at = reshape(c.expr(1), Shape{element_count(c.dims(1))});
  const Expr y = gather(c.expr(0), at, rank - 1);
  c.out(rank == 1 ? expand_dims(y, 0) : y, c.elem(0));
}

void binarizer(OpContext& c) {
  const Expr x = c.expr(0);
  c.out(cast(gt(x, full_like(x, c.attr_float("threshold", 0))), x.dtype()));
}

// A list with one number for all features, or one for each.
Expr feature_constant(OpContext& c, const std::vector<double>& v, int64_t features) {
  if (v.size() != 1 && std::ssize(v) != features)
    fail("{} numbers for {} features", v.size(), features);
  return numbers_constant(c.graph(), DType::f32, v, {std::ssize(v)});
}

void scaler(OpContext& c) {
  const Expr x = cast(c.expr(0), DType::f32);
  if (x.rank() == 0) fail("its input is {}", x.type().text());
  const int64_t features = c.dims(0).back();
  Expr y = x;
  const std::vector<double> offset = c.attr_floats("offset"), scale = c.attr_floats("scale");
  if (!offset.empty()) y = y - feature_constant(c, offset, features);
  if (!scale.empty()) y = y * feature_constant(c, scale, features);
  c.out(y);
}

void normalizer(OpContext& c) {
  const std::string norm = c.attr_text("norm", "MAX");
  const Expr x = cast(c.expr(0), DType::f32);
  if (x.rank() == 0) fail("its input is {}", x.type().text());
  const Dims last = {x.rank() - 1};
  Expr size;
  if (norm == "MAX") size = reduce_max(x, last);
  else if (norm == "L1") size = reduce_sum(abs(x), last);
  else if (norm == "L2") size = sqrt(reduce_sum(x * x, last));
  else fail("norm is '{}'", norm);
  const Expr divisor = keep_axes(select(eq(size, 0), full_like(size, 1), size), last);
  c.out(x / divisor);
}

void imputer(OpContext& c) {
  const Expr x = c.expr(0);
  const int64_t features = x.rank() == 0 ? 1 : c.dims(0).back();
  const double replaced = c.attr_float("replaced_value_float", 0);
  const int64_t replaced_integer = c.attr_int("replaced_value_int64", 0);
  const std::vector<double> floats = c.attr_floats("imputed_value_floats");
  const Dims integers = c.attr_ints("imputed_value_int64s");
  const int64_t given = is_float(x.dtype()) ? std::ssize(floats) : std::ssize(integers);
  if (given != 1 && given != features) fail("{} imputed values for {} features", given, features);
  if (!is_float(x.dtype())) {
    const Expr value = cast(list_constant(c.graph(), integers), x.dtype());
    c.out(select(eq(x, integer_constant(c.graph(), x.dtype(), replaced_integer)), value, x));
    return;
  }
  const Expr hit = std::isnan(replaced) ? ne(x, x) : eq(x, replaced);
  c.out(select(hit, numbers_constant(c.graph(), x.dtype(), floats, {given}), x));
}

// Inputs side by side, each cut to its number of features.
void feature_vectorizer(OpContext& c) {
  const Dims sizes = c.attr_ints("inputdimensions");
  std::vector<Expr> parts;
  for (int i = 0; i < c.inputs(); ++i) {
    Expr x = cast(c.expr(i), DType::f32);
    if (x.rank() == 1) x = expand_dims(x, 0);
    if (x.rank() != 2) fail("its input {} is {}", i, x.type().text());
    const int64_t have = x.shape()[1].value();
    const int64_t size = i < std::ssize(sizes) ? sizes[static_cast<size_t>(i)] : have;
    if (size < 0 || size > have) fail("{} features of {}", size, have);
    parts.push_back(slice_axis(x, 1, 0, size));
  }
  if (parts.empty()) fail("it has no input");
  c.out(concat(parts, 1));
}

// --- maps ----------------------------------------------------------------------------------------

const Value& part_of_map(const Value& map, size_t i) {
  if (map.kind != Value::Kind::Map || !map.items || map.items->size() != 2)
    fail("its input is {}, a map was expected", map.signature());
  return (*map.items)[i];
}

// [1, vocabulary]: the map's values by key, 0 or "" for those it has not.
void dict_vectorizer(OpContext& c) {
  const std::vector<std::string> texts = c.attr_texts("string_vocabulary");
  const Dims integers = c.attr_ints("int64_vocabulary");
  const HostTensor vocabulary = texts.empty() ? numbers_of(integers) : numbers_of(texts);
  c.host([=](HostServices&, const std::vector<Value>& in) {
    const HostTensor &keys = part_of_map(in[0], 0).known, &values = part_of_map(in[0], 1).known;
    const HostTensor zero = convert(numbers_of(Dims{0}), values.elem);
    const HostTensor missing = values.is_string() ? numbers_of(std::vector<std::string>{""}) : zero;
    const Dims dims = {1, element_count(vocabulary.dims())};
    return std::vector<Value>{
        looked_up({keys, values, missing}, positions_of(vocabulary, keys), dims)};
  });
}

// [1, N]: the values of a map from integers, side by side or each at its key.
void cast_map(OpContext& c) {
  const std::string to = c.attr_text("cast_to", "TO_FLOAT"),
                    form = c.attr_text("map_form", "DENSE");
  const int64_t most = c.attr_int("max_map", 1);
  const ElemType elem = to == "TO_FLOAT"    ? ElemType::Float
                        : to == "TO_INT64"  ? ElemType::Int64
                        : to == "TO_STRING" ? ElemType::String
                                            : ElemType::Undefined;
  if (elem == ElemType::Undefined) fail("cast_to is '{}'", to);
  if (form != "DENSE" && form != "SPARSE") fail("map_form is '{}'", form);
  if (most < 1) fail("max_map is {}", most);
  c.check_count(most, "entries of a map");
  c.host([=](HostServices&, const std::vector<Value>& in) {
    const HostTensor& keys = part_of_map(in[0], 0).known;
    if (keys.is_string())
      fail("its input is {}, keys that are integers were expected", in[0].signature());
    const HostTensor values = convert(part_of_map(in[0], 1).known, elem);
    const int64_t n = element_count(keys.dims());
    Dims wanted = range(0, most);
    if (form == "DENSE") {
      wanted.clear();
      for (int64_t i = 0; i < n; ++i) wanted.push_back(keys.numbers.int_at(i));
      std::sort(wanted.begin(), wanted.end());
    }
    const HostTensor missing = elem == ElemType::String ? numbers_of(std::vector<std::string>{""})
                                                        : convert(numbers_of(Dims{0}), elem);
    return std::vector<Value>{looked_up(
        {keys, values, missing}, positions_of(numbers_of(wanted), keys), {1, std::ssize(wanted)})};
  });
}

// Each row of [N, classes] as a map from class to number.
void zip_map(OpContext& c) {
  const Labels labels = read_labels(c, "classlabels_int64s", "classlabels_strings");
  c.host([=](HostServices&, const std::vector<Value>& in) {
    const Tensor& x = in[0].known.numbers;
    const int64_t n = labels.count();
    if (n == 0 || x.rank() == 0 || x.dims().back() != n)
      fail("its input is {} for {} classes", in[0].signature(), n);
    const HostTensor keys =
        labels.texts.empty() ? numbers_of(labels.integers) : numbers_of(labels.texts);
    std::vector<Value> maps;
    for (int64_t row = 0; row < x.size() / n; ++row) {
      Tensor values = Tensor::empty(x.dtype(), {n});
      for (int64_t k = 0; k < n; ++k) values.set(k, x.at(row * n + k));
      Value map;
      map.kind = Value::Kind::Map;
      map.items = std::make_shared<const std::vector<Value>>(
          std::vector<Value>{Value::of(keys), Value::of(HostTensor(values))});
      maps.push_back(std::move(map));
    }
    return std::vector<Value>{Value::sequence(std::move(maps))};
  });
}

constexpr OpRow kRows[] = {
    {"ArrayFeatureExtractor", 1, array_feature_extractor},
    {"Binarizer", 1, binarizer},
    {"CastMap", 1, cast_map},
    {"CategoryMapper", 1, category_mapper},
    {"DictVectorizer", 1, dict_vectorizer},
    {"FeatureVectorizer", 1, feature_vectorizer},
    {"Imputer", 1, imputer},
    {"LabelEncoder", 1, label_encoder},
    {"Normalizer", 1, normalizer},
    {"OneHotEncoder", 1, one_hot_encoder},
    {"Scaler", 1, scaler},
    {"ZipMap", 1, zip_map},
};

}  // namespace

std::span<const OpRow> ml_rows() { return kRows; }

}  // namespace lathe::onnx
