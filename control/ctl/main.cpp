// The client's entry point: everything is in app.cpp.
#include <exception>
#include <iostream>

#include "control/ctl/app.hpp"

int main(int argc, char** argv) {
    try {
        return vxplane::control::ctl::run(argc, argv, std::cout, std::cerr);
    } catch (const std::exception& problem) {
        std::cerr << "vxctl: " << problem.what() << "\n";
        return 1;
    }
}
