// Ways between a value of the file and a member, chosen by the kind of the member. Met by the
// tables of keys, which name one for each row.
#pragma once

#include <string>
#include <string_view>

#include "config/parse.hpp"
#include "config/reader.hpp"
#include "config/show.hpp"
#include "config/value_types.hpp"

namespace vxplane::config {

/// The object that a member belongs to.
template <class T, class M>
T owner_of_member(M T::*);
template <auto Member>
using Owner = decltype(owner_of_member(Member));

template <auto Member>
std::string shown(const Owner<Member>& from, const ValueType& type) {
    return show(from.*Member, type);
}

/// The ordinary way between a value and a member: by the member's type.
template <auto Member>
constexpr Access<Owner<Member>> scalar() {
    return {[](Reader& reader, const YamlNode& node, const ValueType& type, Owner<Member>& out) {
                reader.value(node, type, out.*Member);
            },
            shown<Member>};
}

template <auto Member>
constexpr Access<Owner<Member>> list() {
    return {[](Reader& reader, const YamlNode& node, const ValueType& type, Owner<Member>& out) {
                reader.list(node, type, out.*Member);
            },
            shown<Member>};
}

/// A list whose items' positions are kept in a second member.
template <auto Member, auto Where>
constexpr Access<Owner<Member>> placed() {
    return {[](Reader& reader, const YamlNode& node, const ValueType& type, Owner<Member>& out) {
                reader.list(node, type, out.*Member, &(out.*Where));
            },
            shown<Member>};
}

/// Objects within objects are shown one by one, by whoever compares them.
template <auto Member>
constexpr Access<Owner<Member>> objects() {
    return {[](Reader& reader, const YamlNode& node, const ValueType& type, Owner<Member>& out) {
                reader.objects(node, type, out.*Member);
            },
            nullptr};
}

template <auto Member>
constexpr Access<Owner<Member>> named() {
    return {[](Reader& reader, const YamlNode& node, const ValueType& type, Owner<Member>& out) {
                reader.named(node, type, out.*Member, [](auto& made, std::string_view name) {
                    made.name = name;
                    return is_object_name(name);
                });
            },
            nullptr};
}

}  // namespace vxplane::config
