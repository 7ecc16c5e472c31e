#include "script.h"
int main(void)
{
    return 0;
}
