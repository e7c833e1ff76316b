"""The 19 classes of Cityscapes that are evaluated: 8 things, 11 stuff."""
from .table import read_table

#: Ids are the label ids of cityscapesscripts, the order is that of trainIds.
CATEGORIES = read_table("""
  7 stuff 128  64 128 road
  8 stuff 244  35 232 sidewalk
 11 stuff  70  70  70 building
 12 stuff 102 102 156 wall
 13 stuff 190 153 153 fence
 17 stuff 153 153 153 pole
 19 stuff 250 170  30 traffic light
 20 stuff 220 220   0 traffic sign
 21 stuff 107 142  35 vegetation
 22 stuff 152 251 152 terrain
 23 stuff  70 130 180 sky
 24 thing 220  20  60 person
 25 thing 255   0   0 rider
 26 thing   0   0 142 car
 27 thing   0   0  70 truck
 28 thing   0  60 100 bus
 31 thing   0  80 100 train
 32 thing   0   0 230 motorcycle
 33 thing 119  11  32 bicycle
""")
