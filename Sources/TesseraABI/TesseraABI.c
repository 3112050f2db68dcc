#include "tessera_plugin.h"
