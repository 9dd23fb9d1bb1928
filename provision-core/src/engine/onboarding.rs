//! Onboarding.
