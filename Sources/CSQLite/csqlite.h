// SQLite as the system has it: libsqlite3-dev.
#pragma once
#include <sqlite3.h>
