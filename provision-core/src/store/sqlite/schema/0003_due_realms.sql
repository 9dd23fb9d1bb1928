-- Realms are found by what is due in them: indexes over all realms, by value first.
-- What concerns everybody in a realm is due as soon as it is noted; it was not indexed before.
ALTER TABLE "meta" ADD COLUMN "due" TEXT;
UPDATE "meta" SET "due" = '' WHERE "key" = 'marking';
CREATE INDEX "meta__due" ON "meta" ("realm", "due", "key") WHERE "due" IS NOT NULL;
CREATE INDEX "meta__due__across" ON "meta" ("due", "realm") WHERE "due" IS NOT NULL;
CREATE INDEX "work__due__across" ON "work" ("due", "realm") WHERE "due" IS NOT NULL;
CREATE INDEX "identity__next_change_at__across" ON "identity" ("next_change_at", "realm")
  WHERE "next_change_at" IS NOT NULL;
