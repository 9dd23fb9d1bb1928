-- A table per table and stream of the store, as in the SQLite store. Text is compared byte by byte (collation "C"), so
-- that the database sorts as the library does. Names are in the schema of the store: the migration sets the search path.

CREATE TABLE "target" (
  "realm" text COLLATE "C" NOT NULL,
  "key" text COLLATE "C" NOT NULL,
  "version" bigint NOT NULL,
  "body" text NOT NULL,
  CONSTRAINT "target__key" PRIMARY KEY ("realm", "key")
);

CREATE TABLE "source" (
  "realm" text COLLATE "C" NOT NULL,
  "key" text COLLATE "C" NOT NULL,
  "version" bigint NOT NULL,
  "body" text NOT NULL,
  CONSTRAINT "source__key" PRIMARY KEY ("realm", "key")
);

CREATE TABLE "onboarding" (
  "realm" text COLLATE "C" NOT NULL,
  "key" text COLLATE "C" NOT NULL,
  "version" bigint NOT NULL,
  "body" text NOT NULL,
  CONSTRAINT "onboarding__key" PRIMARY KEY ("realm", "key")
);

CREATE TABLE "feed" (
  "realm" text COLLATE "C" NOT NULL,
  "key" text COLLATE "C" NOT NULL,
  "version" bigint NOT NULL,
  "source" text COLLATE "C",
  "content" text COLLATE "C",
  "body" text NOT NULL,
  CONSTRAINT "feed__key" PRIMARY KEY ("realm", "key")
);
CREATE INDEX "feed__source" ON "feed" ("realm", "source", "key") WHERE "source" IS NOT NULL;
CREATE INDEX "feed__content" ON "feed" ("realm", "content", "key") WHERE "content" IS NOT NULL;

CREATE TABLE "feed_change" (
  "realm" text COLLATE "C" NOT NULL,
  "key" text COLLATE "C" NOT NULL,
  "version" bigint NOT NULL,
  "feed" text COLLATE "C",
  "body" text NOT NULL,
  CONSTRAINT "feed_change__key" PRIMARY KEY ("realm", "key")
);
CREATE INDEX "feed_change__feed" ON "feed_change" ("realm", "feed", "key") WHERE "feed" IS NOT NULL;

CREATE TABLE "source_record" (
  "realm" text COLLATE "C" NOT NULL,
  "key" text COLLATE "C" NOT NULL,
  "version" bigint NOT NULL,
  "identity" text COLLATE "C",
  "source" text COLLATE "C",
  "ordinal" text COLLATE "C",
  "mark" text COLLATE "C",
  "body" text NOT NULL,
  CONSTRAINT "source_record__key" PRIMARY KEY ("realm", "key")
);
CREATE INDEX "source_record__mark" ON "source_record" ("realm", "key") INCLUDE ("mark");
CREATE INDEX "source_record__identity" ON "source_record" ("realm", "identity", "key") WHERE "identity" IS NOT NULL;
CREATE INDEX "source_record__source" ON "source_record" ("realm", "source", "key") WHERE "source" IS NOT NULL;
CREATE UNIQUE INDEX "source_record__ordinal" ON "source_record" ("realm", "ordinal");

CREATE TABLE "identity" (
  "realm" text COLLATE "C" NOT NULL,
  "key" text COLLATE "C" NOT NULL,
  "version" bigint NOT NULL,
  "source_key" text COLLATE "C",
  "next_change_at" text COLLATE "C",
  "body" text NOT NULL,
  CONSTRAINT "identity__key" PRIMARY KEY ("realm", "key")
);
CREATE UNIQUE INDEX "identity__source_key" ON "identity" ("realm", "source_key");
CREATE INDEX "identity__next_change_at" ON "identity" ("realm", "next_change_at", "key") WHERE "next_change_at" IS NOT NULL;
CREATE INDEX "identity__next_change_at__across" ON "identity" ("next_change_at", "realm") WHERE "next_change_at" IS NOT NULL;

CREATE TABLE "identity_key" (
  "realm" text COLLATE "C" NOT NULL,
  "key" text COLLATE "C" NOT NULL,
  "version" bigint NOT NULL,
  "identity" text COLLATE "C",
  "body" text NOT NULL,
  CONSTRAINT "identity_key__key" PRIMARY KEY ("realm", "key")
);
CREATE INDEX "identity_key__identity" ON "identity_key" ("realm", "identity", "key") WHERE "identity" IS NOT NULL;

CREATE TABLE "grant_" (
  "realm" text COLLATE "C" NOT NULL,
  "key" text COLLATE "C" NOT NULL,
  "version" bigint NOT NULL,
  "identity" text COLLATE "C",
  "target" text COLLATE "C",
  "body" text NOT NULL,
  CONSTRAINT "grant___key" PRIMARY KEY ("realm", "key")
);
CREATE INDEX "grant___identity" ON "grant_" ("realm", "identity", "key") WHERE "identity" IS NOT NULL;
CREATE INDEX "grant___target" ON "grant_" ("realm", "target", "key") WHERE "target" IS NOT NULL;

CREATE TABLE "link" (
  "realm" text COLLATE "C" NOT NULL,
  "key" text COLLATE "C" NOT NULL,
  "version" bigint NOT NULL,
  "identity" text COLLATE "C",
  "object" text COLLATE "C",
  "target" text COLLATE "C",
  "body" text NOT NULL,
  CONSTRAINT "link__key" PRIMARY KEY ("realm", "key")
);
CREATE INDEX "link__identity" ON "link" ("realm", "identity", "key") WHERE "identity" IS NOT NULL;
CREATE UNIQUE INDEX "link__object" ON "link" ("realm", "object");
CREATE INDEX "link__target" ON "link" ("realm", "target", "key") WHERE "target" IS NOT NULL;

CREATE TABLE "membership" (
  "realm" text COLLATE "C" NOT NULL,
  "key" text COLLATE "C" NOT NULL,
  "version" bigint NOT NULL,
  "link" text COLLATE "C",
  "edge_group" text COLLATE "C",
  "body" text NOT NULL,
  CONSTRAINT "membership__key" PRIMARY KEY ("realm", "key")
);
CREATE INDEX "membership__link" ON "membership" ("realm", "link", "key") WHERE "link" IS NOT NULL;
CREATE INDEX "membership__edge_group" ON "membership" ("realm", "edge_group", "key") WHERE "edge_group" IS NOT NULL;

CREATE TABLE "name" (
  "realm" text COLLATE "C" NOT NULL,
  "key" text COLLATE "C" NOT NULL,
  "version" bigint NOT NULL,
  "owner" text COLLATE "C",
  "plan" text COLLATE "C",
  "body" text NOT NULL,
  CONSTRAINT "name__key" PRIMARY KEY ("realm", "key")
);
CREATE INDEX "name__owner" ON "name" ("realm", "owner", "key") WHERE "owner" IS NOT NULL;
CREATE INDEX "name__plan" ON "name" ("realm", "plan", "key") WHERE "plan" IS NOT NULL;

CREATE TABLE "work" (
  "realm" text COLLATE "C" NOT NULL,
  "key" text COLLATE "C" NOT NULL,
  "version" bigint NOT NULL,
  "due" text COLLATE "C",
  "ready" text COLLATE "C",
  "fence" text COLLATE "C",
  "identity" text COLLATE "C",
  "body" text NOT NULL,
  CONSTRAINT "work__key" PRIMARY KEY ("realm", "key")
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX "work__due" ON "work" ("realm", "due", "key") WHERE "due" IS NOT NULL;
CREATE INDEX "work__due__across" ON "work" ("due", "realm") WHERE "due" IS NOT NULL;
CREATE INDEX "work__ready" ON "work" ("realm", "ready", "key") WHERE "ready" IS NOT NULL;
CREATE INDEX "work__fence" ON "work" ("realm", "fence", "key") WHERE "fence" IS NOT NULL;
CREATE INDEX "work__identity" ON "work" ("realm", "identity", "key") WHERE "identity" IS NOT NULL;

CREATE TABLE "plan" (
  "realm" text COLLATE "C" NOT NULL,
  "key" text COLLATE "C" NOT NULL,
  "version" bigint NOT NULL,
  "state" text COLLATE "C",
  "body" text NOT NULL,
  CONSTRAINT "plan__key" PRIMARY KEY ("realm", "key")
);
CREATE INDEX "plan__state" ON "plan" ("realm", "state", "key") WHERE "state" IS NOT NULL;

CREATE TABLE "plan_chunk" (
  "realm" text COLLATE "C" NOT NULL,
  "key" text COLLATE "C" NOT NULL,
  "version" bigint NOT NULL,
  "plan" text COLLATE "C",
  "body" text NOT NULL,
  CONSTRAINT "plan_chunk__key" PRIMARY KEY ("realm", "key")
);
CREATE INDEX "plan_chunk__plan" ON "plan_chunk" ("realm", "plan", "key") WHERE "plan" IS NOT NULL;

CREATE TABLE "journal" (
  "realm" text COLLATE "C" NOT NULL,
  "key" text COLLATE "C" NOT NULL,
  "version" bigint NOT NULL,
  "open" text COLLATE "C",
  "identity" text COLLATE "C",
  "plan" text COLLATE "C",
  "body" text NOT NULL,
  CONSTRAINT "journal__key" PRIMARY KEY ("realm", "key")
);
CREATE INDEX "journal__open" ON "journal" ("realm", "open", "key") WHERE "open" IS NOT NULL;
CREATE INDEX "journal__identity" ON "journal" ("realm", "identity", "key") WHERE "identity" IS NOT NULL;
CREATE INDEX "journal__plan" ON "journal" ("realm", "plan", "key") WHERE "plan" IS NOT NULL;

CREATE TABLE "hold" (
  "realm" text COLLATE "C" NOT NULL,
  "key" text COLLATE "C" NOT NULL,
  "version" bigint NOT NULL,
  "state" text COLLATE "C",
  "body" text NOT NULL,
  CONSTRAINT "hold__key" PRIMARY KEY ("realm", "key")
);
CREATE INDEX "hold__state" ON "hold" ("realm", "state", "key") WHERE "state" IS NOT NULL;

CREATE TABLE "dispute" (
  "realm" text COLLATE "C" NOT NULL,
  "key" text COLLATE "C" NOT NULL,
  "version" bigint NOT NULL,
  "state" text COLLATE "C",
  "target" text COLLATE "C",
  "body" text NOT NULL,
  CONSTRAINT "dispute__key" PRIMARY KEY ("realm", "key")
);
CREATE INDEX "dispute__state" ON "dispute" ("realm", "state", "key") WHERE "state" IS NOT NULL;
CREATE INDEX "dispute__target" ON "dispute" ("realm", "target", "key") WHERE "target" IS NOT NULL;

CREATE TABLE "spending" (
  "realm" text COLLATE "C" NOT NULL,
  "key" text COLLATE "C" NOT NULL,
  "version" bigint NOT NULL,
  "target" text COLLATE "C",
  "body" text NOT NULL,
  CONSTRAINT "spending__key" PRIMARY KEY ("realm", "key")
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX "spending__target" ON "spending" ("realm", "target", "key") WHERE "target" IS NOT NULL;

CREATE TABLE "waiting" (
  "realm" text COLLATE "C" NOT NULL,
  "key" text COLLATE "C" NOT NULL,
  "version" bigint NOT NULL,
  "waits_for" text COLLATE "C",
  "body" text NOT NULL,
  CONSTRAINT "waiting__key" PRIMARY KEY ("realm", "key")
);
CREATE INDEX "waiting__waits_for" ON "waiting" ("realm", "waits_for", "key") WHERE "waits_for" IS NOT NULL;

CREATE TABLE "lease" (
  "realm" text COLLATE "C" NOT NULL,
  "key" text COLLATE "C" NOT NULL,
  "version" bigint NOT NULL,
  "fence" text COLLATE "C",
  "body" text NOT NULL,
  CONSTRAINT "lease__key" PRIMARY KEY ("realm", "key")
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX "lease__fence" ON "lease" ("realm", "fence", "key") WHERE "fence" IS NOT NULL;

CREATE TABLE "seal" (
  "realm" text COLLATE "C" NOT NULL,
  "key" text COLLATE "C" NOT NULL,
  "version" bigint NOT NULL,
  "body" text NOT NULL,
  CONSTRAINT "seal__key" PRIMARY KEY ("realm", "key")
);

CREATE TABLE "request" (
  "realm" text COLLATE "C" NOT NULL,
  "key" text COLLATE "C" NOT NULL,
  "version" bigint NOT NULL,
  "body" text NOT NULL,
  CONSTRAINT "request__key" PRIMARY KEY ("realm", "key")
);

CREATE TABLE "meta" (
  "realm" text COLLATE "C" NOT NULL,
  "key" text COLLATE "C" NOT NULL,
  "version" bigint NOT NULL,
  "due" text COLLATE "C",
  "body" text NOT NULL,
  CONSTRAINT "meta__key" PRIMARY KEY ("realm", "key")
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX "meta__due" ON "meta" ("realm", "due", "key") WHERE "due" IS NOT NULL;
CREATE INDEX "meta__due__across" ON "meta" ("due", "realm") WHERE "due" IS NOT NULL;

CREATE TABLE "audit" (
  "realm" text COLLATE "C" NOT NULL,
  "number" bigint GENERATED ALWAYS AS IDENTITY,
  "identity" text COLLATE "C",
  "plan" text COLLATE "C",
  "body" text NOT NULL,
  CONSTRAINT "audit__number" PRIMARY KEY ("realm", "number")
);
CREATE INDEX "audit__identity" ON "audit" ("realm", "identity", "number") WHERE "identity" IS NOT NULL;
CREATE INDEX "audit__plan" ON "audit" ("realm", "plan", "number") WHERE "plan" IS NOT NULL;

CREATE TABLE "outbox" (
  "realm" text COLLATE "C" NOT NULL,
  "number" bigint GENERATED ALWAYS AS IDENTITY,
  "identity" text COLLATE "C",
  "body" text NOT NULL,
  CONSTRAINT "outbox__number" PRIMARY KEY ("realm", "number")
);
CREATE INDEX "outbox__identity" ON "outbox" ("realm", "identity", "number") WHERE "identity" IS NOT NULL;
