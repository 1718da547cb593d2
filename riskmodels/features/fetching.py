"""Ask the processor for memory before it is read.

The rows of an index case lie together, but those of the next case lie where no processor foresees: without a
word ahead the kernel would spend a third of its time waiting for memory.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

__all__ = ["fetch"]

READ, KEEP, DATA = 0, 3, 1  # the arguments of LLVM's prefetch: to read, and soon again


@intrinsic
def fetch(typingctx, array, place):  # type: ignore[no-untyped-def]
    """Begin to fetch what an array of one dimension holds around a place, and do not wait for it."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        held = context.make_array(signature.args[0])(context, builder, arguments[0])
        at = builder.bitcast(builder.gep(held.data, [arguments[1]]), ir.IntType(8).as_pointer())
        number = ir.IntType(32)
        form = ir.FunctionType(ir.VoidType(), [at.type, number, number, number])
        prefetch = builder.module.declare_intrinsic("llvm.prefetch", [at.type], form)
        builder.call(prefetch, [at, number(READ), number(KEEP), number(DATA)])
        return context.get_dummy_value()

    return types.void(array, types.intp), generate
