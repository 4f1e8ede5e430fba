// Stands in for libnvrtc: what kernels/cuda/compiler.py calls. It "compiles" to a text that
// says what it was given; a source with the word "wrong" is refused.

#include <cstring>
#include <string>

#define API extern "C" __attribute__((visibility("default")))

struct Program { std::string source, log, image; };

API int nvrtcVersion(int *major, int *minor) { return *major = 13, *minor = 7, 0; }

API int nvrtcCreateProgram(Program **program, const char *source, const char *name, int headers,
                           const char *const *, const char *const *) {
    *program = new Program{source, "", ""};
    return headers != 0 || !std::strstr(name, ".cu");
}

API int nvrtcCompileProgram(Program *program, int count, const char *const *options) {
    for (int i = 0; i < count; ++i) program->image += options[i], program->image += ' ';
    program->image += program->source;
    if (program->source.find("wrong") == std::string::npos) return 0;
    program->log = "line 1: wrong";
    return 6;
}

API int nvrtcGetProgramLogSize(Program *program, size_t *size) {
    return *size = program->log.size() + 1, 0;
}
API int nvrtcGetProgramLog(Program *program, char *log) {
    return std::memcpy(log, program->log.c_str(), program->log.size() + 1), 0;
}
API int nvrtcGetCUBINSize(Program *program, size_t *size) {
    return *size = program->image.size(), 0;
}
API int nvrtcGetCUBIN(Program *program, char *image) {
    return std::memcpy(image, program->image.data(), program->image.size()), 0;
}
API int nvrtcDestroyProgram(Program **program) {
    delete *program;
    return *program = nullptr, 0;
}
