// Prints the schema: `vxplane-schema > config/schema/topology.schema.json` after a key has changed.
#include "config/schema.hpp"

#include <cstdio>

int main() {
    const std::string text = vxplane::config::schema_text();
    return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() ? 0 : 1;
}
