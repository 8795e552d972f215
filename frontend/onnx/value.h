// What an ONNX name stands for, while a model is translated and while it runs.
//
// Structure is known at translation: how many items a sequence has, whether an optional is there,
// the dims of every tensor. Contents may be known (Known), a value of the graph being built
// (Graph), or computed in an earlier stage (Slot). Outside of translation all leaves are Known.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "frontend/onnx/model.h"
#include "ir/expr.h"

namespace lathe::onnx {

struct Value {
  enum class Kind : uint8_t { Absent, Known, Graph, Slot, Sequence, Optional, Map };
  Kind kind = Kind::Absent;
  ElemType elem = ElemType::Undefined;  // of tensors; of the items of a sequence where known
  HostTensor known;                     // Known
  std::string parameter;                // Known: the initializer that training may change
  Expr expr;                            // Graph
  int slot = -1;                        // Slot: which tensor of the run
  Dims slot_dims;                       // Slot
  // Sequence: its items. Optional: none or one. Map: keys and values.
  std::shared_ptr<const std::vector<Value>> items;

  static Value of(HostTensor t);
  static Value of(Expr e, ElemType elem);
  static Value of_slot(int slot, ElemType elem, Dims dims);
  static Value sequence(std::vector<Value> items, ElemType elem = ElemType::Undefined);
  static Value optional();
  static Value optional(Value content);

  bool is_tensor() const {
    return kind == Kind::Known || kind == Kind::Graph || kind == Kind::Slot;
  }
  // Of tensors.
  Dims dims() const;
  bool is_string() const { return elem == ElemType::String; }
  // Types and structure without contents: "float[2,3]", "sequence(int64[],int64[4])". Two values of
  // equal signature translate alike.
  std::string signature() const;
};

// Calls fn for each tensor in v, in order; fn may replace it.
template <class F>
void for_each_leaf(Value& v, F&& fn) {
  if (v.is_tensor()) fn(v);
  if (!v.items) return;
  std::vector<Value> items = *v.items;
  for (Value& item : items) for_each_leaf(item, fn);
  v.items = std::make_shared<const std::vector<Value>>(std::move(items));
}

}  // namespace lathe::onnx
