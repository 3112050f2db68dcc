#include "tessera_plugin.h"
#include "tessera.h"
