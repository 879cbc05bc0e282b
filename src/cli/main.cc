#include "cli/commands.h"

int main(int argc, char** argv) {
  return ringplane::cli::run_program(argc, argv);
}
