#include "tools/cli.h"

int main(int argc, char** argv) { return lathe::tools::run_cli(argc, argv); }
