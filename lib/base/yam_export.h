/*  yam_export - marks what libyam's shared object offers.

    Everything else is hidden (-fvisibility=hidden) and named yami_.
*/
#ifndef YAM_EXPORT_H
#define YAM_EXPORT_H

#if defined(__GNUC__)
#define YAM_EXPORT __attribute__((visibility("default")))
#else
#define YAM_EXPORT
#endif

#endif
