"""The 65 classes of Mapillary Vistas 1.2: 37 things, 28 stuff."""
from .table import read_table

#: As in ``panoptic_2018.json``; the 66th label of the data set is void.
CATEGORIES = read_table("""
  1 thing 165  42  42 Bird
  2 thing   0 192   0 Ground Animal
  3 stuff 196 196 196 Curb
  4 stuff 190 153 153 Fence
  5 stuff 180 165 180 Guard Rail
  6 stuff  90 120 150 Barrier
  7 stuff 102 102 156 Wall
  8 stuff 128  64 255 Bike Lane
  9 thing 140 140 200 Crosswalk - Plain
 10 stuff 170 170 170 Curb Cut
 11 stuff 250 170 160 Parking
 12 stuff  96  96  96 Pedestrian Area
 13 stuff 230 150 140 Rail Track
 14 stuff 128  64 128 Road
 15 stuff 110 110 110 Service Lane
 16 stuff 244  35 232 Sidewalk
 17 stuff 150 100 100 Bridge
 18 stuff  70  70  70 Building
 19 stuff 150 120  90 Tunnel
 20 thing 220  20  60 Person
 21 thing 255   0   0 Bicyclist
 22 thing 255   0 100 Motorcyclist
 23 thing 255   0 200 Other Rider
 24 thing 200 128 128 Lane Marking - Crosswalk
 25 stuff 255 255 255 Lane Marking - General
 26 stuff  64 170  64 Mountain
 27 stuff 230 160  50 Sand
 28 stuff  70 130 180 Sky
 29 stuff 190 255 255 Snow
 30 stuff 152 251 152 Terrain
 31 stuff 107 142  35 Vegetation
 32 stuff   0 170  30 Water
 33 thing 255 255 128 Banner
 34 thing 250   0  30 Bench
 35 thing 100 140 180 Bike Rack
 36 thing 220 220 220 Billboard
 37 thing 220 128 128 Catch Basin
 38 thing 222  40  40 CCTV Camera
 39 thing 100 170  30 Fire Hydrant
 40 thing  40  40  40 Junction Box
 41 thing  33  33  33 Mailbox
 42 thing 100 128 160 Manhole
 43 thing 142   0   0 Phone Booth
 44 stuff  70 100 150 Pothole
 45 thing 210 170 100 Street Light
 46 thing 153 153 153 Pole
 47 thing 128 128 128 Traffic Sign Frame
 48 thing   0   0  80 Utility Pole
 49 thing 250 170  30 Traffic Light
 50 thing 192 192 192 Traffic Sign (Back)
 51 thing 220 220   0 Traffic Sign (Front)
 52 thing 140 140  20 Trash Can
 53 thing 119  11  32 Bicycle
 54 thing 150   0 255 Boat
 55 thing   0  60 100 Bus
 56 thing   0   0 142 Car
 57 thing   0   0  90 Caravan
 58 thing   0   0 230 Motorcycle
 59 stuff   0  80 100 On Rails
 60 thing 128  64  64 Other Vehicle
 61 thing   0   0 110 Trailer
 62 thing   0   0  70 Truck
 63 thing   0   0 192 Wheeled Slow
 64 stuff  32  32  32 Car Mount
 65 stuff 120  10  10 Ego Vehicle
""")
