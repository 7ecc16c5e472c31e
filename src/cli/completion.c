/* Shell completion, printed from commands.def: commands, options, and what is alive: topics, groups
   and contexts are asked from the program itself with -o name. */
#include "cli/commands.h"

#include <stdio.h>
#include <string.h>

/* What an operand is, by its word in the table: the command that lists such names, or NULL. */
static const char *lister_of(const struct command_row *c)
{
    if (strncmp(c->operands, "TOPIC", 5) == 0 && strcmp(c->words, "topic create") != 0) {
        return "topic ls";
    }
    if (strncmp(c->operands, "GROUP", 5) == 0) {
        return "group ls";
    }
    return strncmp(c->operands, "CONTEXT", 7) == 0 && strcmp(c->words, "context set") != 0
               ? "context ls"
               : NULL;
}

/* ---- bash, and zsh through its bash emulation ------------------------------------------------ */

/* "serve doctor topic ..." or, with a group, "ls create ...": each first or second word once. */
static void print_words(const char *group)
{
    const char *last = "";
    size_t last_len = 0;
    for (u32 i = 0; i < COMMAND_COUNT; i++) {
        const char *words = command_rows[i].words;
        size_t len = strcspn(words, " ");
        if (group != NULL) {
            if (strncmp(words, group, strlen(group)) == 0 && words[strlen(group)] == ' ') {
                printf("%s ", words + strlen(group) + 1);
            }
        } else if (len != last_len || strncmp(words, last, len) != 0) {
            printf("%.*s ", (int)len, words);
            last = words;
            last_len = len;
        }
    }
}

static void print_bash_groups(void)
{
    const char *last = "";
    for (u32 i = 0; i < COMMAND_COUNT; i++) {
        const char *words = command_rows[i].words;
        size_t len = strcspn(words, " ");
        if (words[len] == 0 || (strncmp(words, last, len) == 0 && last[len] == ' ')) {
            continue;
        }
        char group[32];
        snprintf(group, sizeof group, "%.*s", (int)len, words);
        printf("        %s) words='", group);
        print_words(group);
        printf("' ;;\n");
        last = words;
    }
}

static void print_words_function(const char *name)
{
    printf("%s()\n{\n", name);
    printf("    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
           "    local program=${COMP_WORDS[0]} words='' options='' lister='' command='' brokers=() "
           "i address\n"
           "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
           "        case ${COMP_WORDS[i]} in\n"
           "        -b|--brokers|--context)\n"
           "            address=${COMP_WORDS[i+1]}\n"
           "            # bash takes HOST:PORT for three words\n"
           "            [[ ${COMP_WORDS[i+2]} == : ]] && address+=:${COMP_WORDS[i+3]}\n"
           "            brokers=(\"${COMP_WORDS[i]}\" \"$address\") ;;\n"
           "        esac\n"
           "    done\n"
           "    COMPREPLY=()\n"
           "    case ${COMP_CWORD} in\n    1) words='");
    print_words(NULL);
    printf("' ;;\n    2)\n        case ${COMP_WORDS[1]} in\n");
    print_bash_groups();
    printf("        esac ;;\n    esac\n"
           "    if [[ -n $words ]]; then\n"
           "        COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
           "        return\n    fi\n"
           "    case \"${COMP_WORDS[1]} ${COMP_WORDS[2]}\" in\n");
    for (u32 i = 0; i < COMMAND_COUNT; i++) {
        const struct command_row *c = &command_rows[i];
        printf(strchr(c->words, ' ') != NULL ? "    '%s') " : "    '%s '*) ", c->words);
        const struct option_row *options[COMMAND_OPTIONS_MAX];
        u32 count = command_options((enum command_id)i, options);
        printf("options='");
        for (u32 k = 0; k < count; k++) {
            printf("--%s ", options[k]->name);
        }
        printf("' lister='%s' ;;\n", lister_of(c) != NULL ? lister_of(c) : "");
    }
    printf(
        "    esac\n"
        "    case $prev in\n"
        "    -o|--output) COMPREPLY=($(compgen -W 'table wide json jsonl yaml name' -- \"$cur\")); "
        "return ;;\n"
        "    --topic) lister='topic ls' ;;\n"
        "    --context) lister='context ls' ;;\n"
        "    esac\n"
        "    if [[ $cur == -* ]]; then\n"
        "        COMPREPLY=($(compgen -W \"$options\" -- \"$cur\"))\n"
        "    elif [[ -n $lister ]]; then\n"
        "        [[ $lister == context* ]] && brokers=()\n"
        "        # shellcheck disable=SC2086\n"
        "        COMPREPLY=($(compgen -W \"$(\"$program\" $lister -o name \"${brokers[@]}\" "
        "2>/dev/null)\" -- \"$cur\"))\n"
        "    else\n"
        "        COMPREPLY=($(compgen -f -- \"$cur\"))\n"
        "    fi\n"
        "}\n");
}

static void print_bash(void)
{
    printf("# bash completion of odradek, printed by: odradek docs completion-bash\n"
           "# Use: odradek docs completion-bash > /etc/bash_completion.d/odradek\n");
    print_words_function("_odradek");
    printf("complete -F _odradek odradek odk\n");
}

/* The file is the body of _odradek, which the first completion calls: it makes the function that
   later ones call, and then answers the first one itself. */
static void print_zsh(void)
{
    printf("#compdef odradek odk\n"
           "# zsh completion of odradek, printed by: odradek docs completion-zsh\n"
           "# Use: odradek docs completion-zsh > a folder of $fpath, as _odradek\n"
           "autoload -U +X bashcompinit && bashcompinit\n");
    print_words_function("_odradek_words");
    printf("complete -F _odradek_words odradek odk\n"
           "[[ -n $compstate ]] && _bash_complete -F _odradek_words\n");
}

/* ---- fish ------------------------------------------------------------------------------------ */

/* A text within single quotes, as fish wants it. */
static void print_quoted(const char *text)
{
    putchar('\'');
    for (; *text != 0; text++) {
        printf(*text == '\'' || *text == '\\' ? "\\%c" : "%c", *text);
    }
    putchar('\'');
}

static void print_fish_command(enum command_id id)
{
    const struct command_row *c = &command_rows[id];
    const char *space = strchr(c->words, ' ');
    if (space == NULL) {
        printf("complete -c odradek -f -n __odradek_at -a %s -d ", c->words);
    } else {
        bool first = id == 0 || strncmp(command_rows[id - 1].words, c->words,
                                        (size_t)(space - c->words) + 1) != 0;
        if (first) {
            printf("complete -c odradek -f -n __odradek_at -a %.*s\n", (int)(space - c->words),
                   c->words);
        }
        printf("complete -c odradek -f -n '__odradek_at %.*s' -a %s -d ", (int)(space - c->words),
               c->words, space + 1);
    }
    print_quoted(c->summary);
    putchar('\n');
    const struct option_row *options[COMMAND_OPTIONS_MAX];
    u32 count = command_options(id, options);
    for (u32 i = 0; i < count; i++) {
        printf("complete -c odradek -n '__odradek_in %s' -l %s", c->words, options[i]->name);
        if (options[i]->letter != 0) {
            printf(" -s %c", options[i]->letter);
        }
        if (strcmp(options[i]->name, "output") == 0) {
            printf(" -x -a 'table wide json jsonl yaml name'");
        } else if (options[i]->argument != NULL) {
            printf(" -r");
        }
        printf(" -d ");
        print_quoted(options[i]->doc);
        putchar('\n');
    }
    if (lister_of(c) != NULL) {
        printf("complete -c odradek -f -n '__odradek_in %s' -a '(__odradek_names %s)'\n", c->words,
               lister_of(c));
    }
}

static void print_fish(void)
{
    printf(
        "# fish completion of odradek, printed by: odradek docs completion-fish\n"
        "# Use: odradek docs completion-fish > ~/.config/fish/completions/odradek.fish\n"
        "# Do exactly these words stand before the cursor? Do they stand first?\n"
        "function __odradek_at\n"
        "    set -l words (commandline -opc)\n"
        "    test \"$words[2..-1]\" = \"$argv\"\n"
        "end\n"
        "function __odradek_in\n"
        "    set -l words (commandline -opc)\n"
        "    set -l last (math (count $argv) + 1)\n"
        "    test (count $words) -ge $last; and test \"$words[2..$last]\" = \"$argv\"\n"
        "end\n"
        "# The names there are, of the brokers that the line means.\n"
        "function __odradek_names\n"
        "    set -l words (commandline -opc)\n"
        "    set -l brokers\n"
        "    for i in (seq (count $words))\n"
        "        if contains -- $words[$i] -b --brokers --context; and test $argv[1] != context\n"
        "            set brokers $words[$i] $words[(math $i + 1)]\n"
        "        end\n"
        "    end\n"
        "    odradek $argv -o name $brokers 2>/dev/null\n"
        "end\n");
    for (u32 i = 0; i < COMMAND_COUNT; i++) {
        print_fish_command((enum command_id)i);
    }
    printf("complete -c odk -w odradek\n");
}

bool completion_print(const char *reference)
{
    static const struct {
        const char *name;
        void (*print)(void);
    } rows[] = {{"completion-bash", print_bash},
                {"completion-zsh", print_zsh},
                {"completion-fish", print_fish}};
    for (u32 i = 0; i < ARRAY_LEN(rows); i++) {
        if (strcmp(rows[i].name, reference) == 0) {
            rows[i].print();
            return true;
        }
    }
    return false;
}
