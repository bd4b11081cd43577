"""static_archive: one archive with all objects of some libraries."""

load("@bazel_tools//tools/cpp:toolchain_utils.bzl", "find_cpp_toolchain")

def _static_archive_impl(ctx):
    toolchain = find_cpp_toolchain(ctx)
    parts = []
    for dep in ctx.attr.deps:
        for linker_input in dep[CcInfo].linking_context.linker_inputs.to_list():
            for library in linker_input.libraries:
                # Position-independent, so that shared libraries may link it.
                part = library.pic_static_library or library.static_library
                if part and part not in parts:
                    parts.append(part)
    out = ctx.actions.declare_file(ctx.attr.archive)
    script = ctx.actions.declare_file(ctx.label.name + ".mri")
    ctx.actions.write(script, "\n".join(
        ["create " + out.path] +
        ["addlib " + part.path for part in parts] +
        ["save", "end", ""],
    ))
    ctx.actions.run_shell(
        outputs = [out],
        inputs = parts + [script],
        command = "'%s' -M < '%s'" % (toolchain.ar_executable, script.path),
        mnemonic = "StaticArchive",
        tools = toolchain.all_files,
    )
    return [DefaultInfo(
        files = depset([out]),
        runfiles = ctx.runfiles(files = [out]),
    )]

static_archive = rule(
    implementation = _static_archive_impl,
    attrs = {
        "archive": attr.string(mandatory = True, doc = "file name"),
        "deps": attr.label_list(providers = [CcInfo], mandatory = True),
        "_cc_toolchain": attr.label(
            default = Label("@bazel_tools//tools/cpp:current_cc_toolchain"),
        ),
    },
    toolchains = ["@bazel_tools//tools/cpp:toolchain_type"],
)
