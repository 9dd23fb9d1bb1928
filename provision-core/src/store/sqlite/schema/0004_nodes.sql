-- Processes that share the store, and how fast they call targets together.

CREATE TABLE "node" (
  "realm" TEXT NOT NULL,
  "key" TEXT NOT NULL,
  "version" INTEGER NOT NULL,
  "body" TEXT NOT NULL
);
CREATE UNIQUE INDEX "node__key" ON "node" ("realm", "key");

CREATE TABLE "pace" (
  "realm" TEXT NOT NULL,
  "key" TEXT NOT NULL,
  "version" INTEGER NOT NULL,
  "body" TEXT NOT NULL
);
CREATE UNIQUE INDEX "pace__key" ON "pace" ("realm", "key");

-- A process of before migration 2 that is still running writes records and leaves their marks as they were: a mark that
-- is not written with the record it tells of tells nothing.
CREATE TRIGGER "source_record__mark_is_old" AFTER UPDATE OF "body" ON "source_record"
WHEN NEW."mark" IS OLD."mark" AND NEW."mark" IS NOT NULL AND (
  json_extract(NEW."body", '$.fingerprint') IS NOT json_extract(OLD."body", '$.fingerprint')
  OR json_extract(NEW."body", '$.state') IS NOT json_extract(OLD."body", '$.state')
  OR json_extract(NEW."body", '$.ordinal') IS NOT json_extract(OLD."body", '$.ordinal')
)
BEGIN
  UPDATE "source_record" SET "mark" = NULL WHERE rowid = NEW.rowid;
END;
