/* A plugin of qemu-aarch64 that counts the instructions of a program, of all its threads together, and says
 * which functions they were in, where the program has its symbols:
 *   cc -shared -fPIC -O2 -o instructions.so instructions.c
 *   qemu-aarch64 -plugin instructions.so PROGRAM
 * The interface is stated here, for Debian has no package with its header (QEMU 7.2, plugin version 1). */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

typedef uint64_t plugin_id;
struct block;
struct instruction;
enum { INLINE_ADD_U64 = 0, MOST_FUNCTIONS = 1 << 16 };

void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, struct block *));
size_t qemu_plugin_tb_n_insns(const struct block *);
struct instruction *qemu_plugin_tb_get_insn(const struct block *, size_t);
const char *qemu_plugin_insn_symbol(const struct instruction *);
void qemu_plugin_register_vcpu_tb_exec_inline(struct block *, int, void *, uint64_t);
void qemu_plugin_register_atexit_cb(plugin_id, void (*)(plugin_id, void *), void *);

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

/* Not atomic: a program is run on one thread where its count matters. */
static struct function {
    const char *name;
    uint64_t instructions;
} functions[MOST_FUNCTIONS];

static struct function *function_of(const char *name)
{
    size_t at = 0;
    if (!name || !*name)
        name = "(no symbol)";
    while (at < MOST_FUNCTIONS - 1 && functions[at].name && strcmp(functions[at].name, name))
        at++;
    if (!functions[at].name)
        functions[at].name = strdup(name);
    return &functions[at];
}

static void translated(plugin_id id, struct block *block)
{
    const char *name = qemu_plugin_insn_symbol(qemu_plugin_tb_get_insn(block, 0));
    uint64_t *count = &function_of(name)->instructions;
    (void)id;
    qemu_plugin_register_vcpu_tb_exec_inline(block, INLINE_ADD_U64, count, qemu_plugin_tb_n_insns(block));
}

static void ended(plugin_id id, void *nothing)
{
    uint64_t all = 0;
    (void)id;
    (void)nothing;
    for (size_t at = 0; at < MOST_FUNCTIONS && functions[at].name; at++) {
        all += functions[at].instructions;
        fprintf(stderr, "%14" PRIu64 " %s\n", functions[at].instructions, functions[at].name);
    }
    fprintf(stderr, "%14" PRIu64 " instructions\n", all);
}

__attribute__((visibility("default"))) int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv)
{
    (void)info;
    (void)argc;
    (void)argv;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_atexit_cb(id, ended, NULL);
    return 0;
}
